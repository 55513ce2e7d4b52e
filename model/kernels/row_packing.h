#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// The rows of a product in e4m3, packed as pack_matrix() packs the rows of a kFp8 matrix, byte for
// byte, but each row is read once: for rows of activations in every layer.
struct PackedRows {
  void* values = nullptr;   // [rows, in rounded up to 16] e4m3, 16-byte aligned, device
  float* scales = nullptr;  // [rows], device
};

// Values of a row at most.
inline constexpr int kPackedRowMax = 16384;

// Packs x [rows, in] bf16, 16-byte aligned; `in` is a multiple of 8. Enqueues and returns;
// cudaErrorInvalidValue for a bad shape, else the launch status.
[[nodiscard]] cudaError_t pack_rows(const __nv_bfloat16* x, int in, int rows,
                                    const PackedRows& packed, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
