#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// h[r, j] = gelu_tanh(gate_up[r, j]) * gate_up[r, inner + j], rounded to bf16 after the gelu and
// after the product.
//
//   gate_up  [rows, 2 * inner] bf16, device, 16-byte aligned
//   h        [rows, inner] bf16, device, 16-byte aligned
//   inner    a multiple of 8
//
// Enqueues and returns. Returns cudaErrorInvalidValue for a bad shape, else the launch status.
[[nodiscard]] cudaError_t gelu_product(const __nv_bfloat16* gate_up, __nv_bfloat16* h, int inner,
                                       int rows, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
