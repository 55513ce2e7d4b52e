#pragma once

#include <cuda_bf16.h>

namespace captiond::kernels {

// gelu_tanh(gate) * up, rounded to bf16 after the gelu and after the product as transformers does
// (reference model.md 2.3 and 2.6).
__device__ __forceinline__ __nv_bfloat16 gelu_product(__nv_bfloat16 gate, __nv_bfloat16 up) {
  constexpr float kSqrt2OverPi = 0.7978845608028654F, kCubic = 0.044715F;
  const float x = __bfloat162float(gate);
  const float gelu = 0.5F * x * (1.0F + tanhf(kSqrt2OverPi * (x + kCubic * x * x * x)));
  return __float2bfloat16(__bfloat162float(__float2bfloat16(gelu)) * __bfloat162float(up));
}

}  // namespace captiond::kernels
