#pragma once

#include <cuda_bf16.h>

#include "model/kernels/row_values.cuh"

namespace captiond::kernels {

// 1 / sqrt(mean + eps), of a row's sum of squares.
__device__ __forceinline__ float scale_of_mean(float sum, int width, float eps) {
  return 1.0F / sqrtf(sum / static_cast<float>(width) + eps);
}

// 1 / sqrt(mean of the squares + eps) of a row whose eight values each thread of the block has, or
// zeros beyond its end. `scratch` as for block_sum().
__device__ __forceinline__ float rms_scale(const float (&values)[kLane], int width, float eps,
                                           float* scratch) {
  return scale_of_mean(block_sum(sum_of_squares(values), scratch), width, eps);
}

// hidden = (hidden + rms(x) * post) * scalar, rounded as norm.h says; `scale` of x.
__device__ __forceinline__ void add_residual(float (&hidden)[kLane], const float (&x)[kLane],
                                             const float (&post)[kLane], float scale, bool scaled,
                                             float scalar) {
  float normed[kLane];
#pragma unroll
  for (int i = 0; i < kLane; ++i) normed[i] = x[i] * scale * post[i];
  round_values(normed);
#pragma unroll
  for (int i = 0; i < kLane; ++i) hidden[i] += normed[i];
  round_values(hidden);
  if (!scaled) return;
#pragma unroll
  for (int i = 0; i < kLane; ++i) hidden[i] *= scalar;
  round_values(hidden);
}

// The same with the scalar where it stands, or null.
__device__ __forceinline__ void add_residual(float (&hidden)[kLane], const float (&x)[kLane],
                                             const float (&post)[kLane], float scale,
                                             const __nv_bfloat16* scalar) {
  add_residual(hidden, x, post, scale, scalar != nullptr,
               scalar != nullptr ? __bfloat162float(*scalar) : 1.0F);
}

}  // namespace captiond::kernels
