#pragma once

#include <cuda_fp16.h>
#include <cuda_fp8.h>

// e4m3 numbers, two at a time. What is beyond 448 becomes 448, a NaN stays one.

namespace captiond::kernels::fp8 {

__device__ __forceinline__ unsigned short narrowed(float low, float high) {
  return __nv_cvt_float2_to_fp8x2(make_float2(low, high), __NV_SATFINITE, __NV_E4M3);
}
__device__ __forceinline__ float2 widened(unsigned short pair) {
  return __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2(pair, __NV_E4M3)));
}

// A number as its e4m3 and, times kRest, that of what is left of it. Both together are a bf16
// number exactly, unless it is so small that e4m3 ends: below 2^-6 for the first and 2^-9 / kRest
// for what is left.

struct Halves {
  unsigned short main;
  unsigned short rest;
};
template <int kRest>
__device__ __forceinline__ Halves halves(float low, float high) {
  const unsigned short main = narrowed(low, high);
  const float2 back = widened(main);
  return {main, narrowed((low - back.x) * static_cast<float>(kRest),
                         (high - back.y) * static_cast<float>(kRest))};
}

}  // namespace captiond::kernels::fp8
