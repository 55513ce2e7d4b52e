// The tail of gate and up where cuBLASLt has written both: one thread for eight products.

#include <cstddef>
#include <cstdint>

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/gelu_product.h"
#include "model/kernels/programmatic_launch.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreads = 256;

struct alignas(16) Eight {
  __nv_bfloat162 pair[4];
};

__global__ void __launch_bounds__(kThreads)
    gelu_product_kernel(const __nv_bfloat16* gate_up, __nv_bfloat16* h, int inner) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  const int j = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) * 8;
  if (j >= inner) return;
  const std::size_t row = blockIdx.y;
  const __nv_bfloat16* gates = gate_up + row * 2 * inner + j;
  const Eight gate = *reinterpret_cast<const Eight*>(gates);
  const Eight up = *reinterpret_cast<const Eight*>(gates + inner);
  Eight product;
#pragma unroll
  for (int i = 0; i < 4; ++i) product.pair[i] = gelu_products(gate.pair[i], up.pair[i]);
  *reinterpret_cast<Eight*>(h + row * inner + j) = product;
}

}  // namespace

cudaError_t gelu_product(const __nv_bfloat16* gate_up, __nv_bfloat16* h, int inner, int rows,
                         cudaStream_t stream) noexcept {
  constexpr int kRowsMax = 65535;  // of a grid's second dimension
  if (gate_up == nullptr || h == nullptr || inner <= 0 || inner % 8 != 0 || rows <= 0 ||
      rows > kRowsMax)
    return cudaErrorInvalidValue;
  const LaunchShape shape{
      .blocks = dim3(static_cast<unsigned>((inner / 8 + kThreads - 1) / kThreads),
                     static_cast<unsigned>(rows)),
      .threads = dim3(kThreads)};
  return launch(gelu_product_kernel, shape, stream, gate_up, h, inner);
}

}  // namespace captiond::kernels
