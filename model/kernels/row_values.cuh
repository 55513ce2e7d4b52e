#pragma once

#include <cuda_bf16.h>

#include "model/kernels/norm.h"

// Pieces of the kernels that work on rows: eight bf16 values a thread, and sums over a warp and a
// block in a fixed order.

namespace captiond::kernels {

inline constexpr int kLane = 8;  // values in a 16-byte load

__device__ inline float rounded(float x) { return __bfloat162float(__float2bfloat16(x)); }

// All of them rounded to bf16: two at once take a quarter of the time of one twice.
template <int kCount>
__device__ __forceinline__ void round_values(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i + 1 < kCount; i += 2) {
    const float2 two = __bfloat1622float2(__floats2bfloat162_rn(values[i], values[i + 1]));
    values[i] = two.x;
    values[i + 1] = two.y;
  }
  if constexpr (kCount % 2 != 0) values[kCount - 1] = rounded(values[kCount - 1]);
}

__device__ inline void load_values(const __nv_bfloat16* from, float (&values)[kLane]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(from);
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&raw);
#pragma unroll
  for (int i = 0; i < kLane / 2; ++i) {
    const float2 pair = __bfloat1622float2(pairs[i]);
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

__device__ inline void store_values(__nv_bfloat16* to, const float (&values)[kLane]) {
  uint4 raw;
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(&raw);
#pragma unroll
  for (int i = 0; i < kLane / 2; ++i) {
    pairs[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
  }
  *reinterpret_cast<uint4*>(to) = raw;
}

__device__ inline float sum_of_squares(const float (&values)[kLane]) {
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kLane; ++i) sum += values[i] * values[i];
  return sum;
}

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, offset);
  }
  return value;
}

// The sum over the block, in every thread. `scratch` is shared memory of 32 floats that no other
// sum of the kernel uses; all threads of whole warps take part.
__device__ inline float block_sum(float value, float* scratch) {
  value = warp_sum(value);
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_sum(lane < blockDim.x / 32 ? scratch[lane] : 0.0F);
}

// Whether rows of `width` values can be taken by one block, eight values a thread.
inline bool row_fits_block(int width) {
  return width > 0 && width % kLane == 0 && width <= kNormWidthMax;
}
inline unsigned threads_of_row(int width) {
  return static_cast<unsigned>((width / kLane + 31) / 32 * 32);
}

}  // namespace captiond::kernels
