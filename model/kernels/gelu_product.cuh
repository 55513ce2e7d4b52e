#pragma once

#include <cuda_bf16.h>

namespace captiond::kernels {

// gelu_tanh(gate) * up, rounded to bf16 after the gelu and after the product as transformers does
// (reference model.md 2.3 and 2.6). 0.5 * (1 + tanh(u)) is 1 / (1 + exp(-2 u)), which takes a
// quarter of the instructions and loses no digits where tanh is near -1. The operations are spelled
// out so that all kernels give the same bits.
__device__ __forceinline__ float gelu(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654F, kCubic = 0.044715F, kLog2E = 1.442695041F;
  constexpr float kLinear = -2.0F * kLog2E * kSqrt2OverPi;
  const float exponent = __fmul_rn(x, __fmaf_rn(kLinear * kCubic, __fmul_rn(x, x), kLinear));
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  return __fdividef(x, __fadd_rn(1.0F, power));
}
__device__ __forceinline__ __nv_bfloat16 gelu_product(__nv_bfloat16 gate, __nv_bfloat16 up) {
  const __nv_bfloat16 rounded = __float2bfloat16(gelu(__bfloat162float(gate)));
  return __float2bfloat16(__fmul_rn(__bfloat162float(rounded), __bfloat162float(up)));
}

// Two at once: to round two floats takes a quarter of the time of rounding one twice.
__device__ __forceinline__ __nv_bfloat162 gelu_products(__nv_bfloat162 gate, __nv_bfloat162 up) {
  const float2 x = __bfloat1622float2(gate), factor = __bfloat1622float2(up);
  const float2 rounded = __bfloat1622float2(__floats2bfloat162_rn(gelu(x.x), gelu(x.y)));
  return __floats2bfloat162_rn(__fmul_rn(rounded.x, factor.x), __fmul_rn(rounded.y, factor.y));
}

}  // namespace captiond::kernels
