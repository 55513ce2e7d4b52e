#pragma once

#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/matrix.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/tensor_map.h"

namespace captiond::kernels {

// Rows of one launch of the kernels below, and of those of a head.
inline constexpr int kManyRowsMax = 256;
inline constexpr int kHeadRowsMax = 128;

// Rows of the tiles that take so many rows.
[[nodiscard]] constexpr int tile_rows_of(int rows) noexcept {
  for (const int tile : {8, 16, 32, 64, 96, 104, 112, 128, 192})
    if (rows <= tile) return tile;
  return kManyRowsMax;
}

// The rows that a product of many rows takes: of weights in kFp8 packed as they are (by
// pack_matrix(), with a scale a row), else in bf16; 16-byte aligned, on the device.
struct ManyRows {
  const void* x = nullptr;        // [rows, in]
  const float* scales = nullptr;  // [rows], kFp8 alone
  int rows = 0;                   // 1 … kManyRowsMax
  int blocks = 0;                 // the device's multiprocessors
  const TensorMaps* maps = nullptr;
};

// The products of up to kManyRowsMax rows on tensor cores, each one launch that reads the weights
// once: see many_rows.cuh. `out` is a multiple of 8, rows of x are multiples of 16 bytes. The
// weights of kInt4 are rounded to bf16 times their scale, as unpack_matrix() has them; those of
// kInt8 are exact. A row's bits depend neither on the other rows nor on their number, but on
// `blocks`.
//
// All enqueue and return, allocate nothing, and return cudaErrorInvalidValue for a bad shape, else
// the launch status. They throw std::invalid_argument where TensorMaps does.

// y [rows, out].
[[nodiscard]] cudaError_t linear_many(const Matrix& w, const ManyRows& x, __nv_bfloat16* y,
                                      cudaStream_t stream);

// h [rows, out / 2]: see MatrixProducts::gate_up().
[[nodiscard]] cudaError_t gate_up_many(const Matrix& w, const ManyRows& x, __nv_bfloat16* h,
                                       cudaStream_t stream);

// y [rows, out] float32 = softcap * tanh(sum / softcap), or the sum when softcap is 0; up to
// kHeadRowsMax rows.
[[nodiscard]] cudaError_t logits_many(const Matrix& w, const ManyRows& x, float* y, float softcap,
                                      cudaStream_t stream);

// Bytes of `scratch` below.
[[nodiscard]] std::size_t greedy_many_scratch_bytes(int blocks) noexcept;

// choices [rows]: see MatrixProducts::head_greedy(). Two launches; up to kHeadRowsMax rows.
[[nodiscard]] cudaError_t greedy_many(const Head& head, const ManyRows& x, void* scratch,
                                      GreedyChoice* choices, cudaStream_t stream);

}  // namespace captiond::kernels
