#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/matrix.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/normed_rows.h"

namespace captiond::kernels {

// The products of 1 … MatrixProducts::kFewRowsMax rows, each one launch that streams the weights:
// see weight_stream.cuh and split_stream.cuh. `blocks` is the number of the device's
// multiprocessors; results do not depend on it. All enqueue and return, allocate nothing, and
// return cudaErrorInvalidValue for a bad shape, else the launch status.
//
// Up to kSplitRowsMax rows take a way of their own (split_stream.cuh), as long as that many rows of
// x fit into its shared memory: `in` up to 19,000 or so. In kBf16 the bits are those of more rows.
inline constexpr int kSplitRowsMax = 4;

struct FewRows {
  const __nv_bfloat16* x = nullptr;  // [rows, in], 16-byte aligned
  int rows = 0;
  int blocks = 0;
  // The kernel in front takes long and hardly reads memory, as attention of few rows: up to
  // kSplitRowsMax rows, all the weights that there is room for are asked for ahead of its end.
  bool long_wait = false;
};

// Widest row of NormedRows.
inline constexpr int kNormedWidthMax = 4096;

// Most numbers of a row that square_slots() gives.
inline constexpr int kSquareSlotsMax = 384;

// Whether rows in front of a norm may be given to the product with this matrix.
[[nodiscard]] bool takes_normed(const Matrix& w) noexcept;

// Whether linear_few() leaves squares of its results.
[[nodiscard]] bool leaves_squares(const Matrix& w) noexcept;

// Numbers a row that it leaves there: a multiple of 4.
[[nodiscard]] int square_slots(const Matrix& w, int blocks) noexcept;

// Whether the kernels take this matrix: sizes above zero, `in` a multiple of 8 (kInt4: of 32),
// 16-byte aligned, scales where the format has them.
[[nodiscard]] bool streams(const Matrix& w) noexcept;

// y [rows, out].
[[nodiscard]] cudaError_t linear_few(const Matrix& w, const FewRows& x, __nv_bfloat16* y,
                                     cudaStream_t stream) noexcept;

// The same of up to kSplitRowsMax rows, and the sums of squares of what each warp wrote, to squares
// [rows, square_slots(w, blocks)], zeroed once before its first use.
[[nodiscard]] cudaError_t linear_few(const Matrix& w, const FewRows& x, __nv_bfloat16* y,
                                     float* squares, cudaStream_t stream) noexcept;
[[nodiscard]] cudaError_t linear_few(const Matrix& w, const NormedRows& x, int rows, int blocks,
                                     __nv_bfloat16* y, cudaStream_t stream) noexcept;

// y [rows, out] float32 = softcap * tanh(sum / softcap), or the sum when softcap is 0.
[[nodiscard]] cudaError_t linear_few(const Matrix& w, const FewRows& x, float* y, float softcap,
                                     cudaStream_t stream) noexcept;

// h [rows, out / 2]: see MatrixProducts::gate_up().
[[nodiscard]] cudaError_t gate_up_few(const Matrix& w, const FewRows& x, __nv_bfloat16* h,
                                      cudaStream_t stream) noexcept;
[[nodiscard]] cudaError_t gate_up_few(const Matrix& w, const NormedRows& x, int rows, int blocks,
                                      __nv_bfloat16* h, cudaStream_t stream) noexcept;

// Bytes of `scratch` below for at most `blocks` blocks. Zeroed before its first use; a call leaves
// it fit for the next.
[[nodiscard]] std::size_t greedy_scratch_bytes(int blocks) noexcept;

// choices [rows]: see MatrixProducts::head_greedy().
[[nodiscard]] cudaError_t greedy_few(const Head& head, const FewRows& x, void* scratch,
                                     GreedyChoice* choices, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
