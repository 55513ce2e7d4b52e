#pragma once

#include <cuda_bf16.h>

namespace captiond::kernels {

// gelu_tanh(gate) * up, rounded to bf16 after the gelu and after the product as transformers does
// (reference model.md 2.3 and 2.6). 0.5 * (1 + tanh(u)) is 1 / (1 + exp(-2 u)), which takes a
// quarter of the instructions and loses no digits where tanh is near -1. The operations are spelled
// out so that all kernels give the same bits.
__device__ __forceinline__ __nv_bfloat16 gelu_product(__nv_bfloat16 gate, __nv_bfloat16 up) {
  constexpr float kSqrt2OverPi = 0.7978845608028654F, kCubic = 0.044715F, kLog2E = 1.442695041F;
  constexpr float kLinear = -2.0F * kLog2E * kSqrt2OverPi;
  const float x = __bfloat162float(gate);
  const float exponent = __fmul_rn(x, __fmaf_rn(kLinear * kCubic, __fmul_rn(x, x), kLinear));
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  const float gelu = __fdividef(x, __fadd_rn(1.0F, power));
  return __float2bfloat16(
      __fmul_rn(__bfloat162float(__float2bfloat16(gelu)), __bfloat162float(up)));
}

}  // namespace captiond::kernels
