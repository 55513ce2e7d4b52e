// RMSNorm and the seam between two sublayers: a block a row, eight values a thread. The row stays
// in registers between the sum and the scale, so that each value is read once.

#include "model/kernels/norm.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/residual_row.cuh"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreadsMax = kNormWidthMax / kLane;

__global__ void __launch_bounds__(kThreadsMax) rms_norm_kernel(const RmsNorm norm) {
  __shared__ float scratch[32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < norm.width;
  const std::size_t target = blockIdx.x;
  let_next_kernel_start();
  float weight[kLane] = {1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F};
  if (mine && norm.weight != nullptr) load_values(norm.weight + column, weight);
  wait_for_previous_kernels();
  const std::size_t row = norm.rows == nullptr ? target : norm.rows[target];

  float x[kLane] = {};
  if (mine) load_values(norm.x + row * norm.width + column, x);
  const float sum = block_sum(sum_of_squares(x), scratch);
  if (!mine) return;
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(norm.width) + norm.eps);
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] = x[i] * scale * weight[i];
  store_values(norm.y + target * norm.width + column, x);
}

__global__ void __launch_bounds__(kThreadsMax) residual_norm_kernel(const ResidualNorm norm) {
  __shared__ float scratch[2][32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < norm.width;
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * norm.width + column;

  let_next_kernel_start();
  float post[kLane] = {};
  float pre[kLane] = {};
  if (mine) {
    load_values(norm.post_weight + column, post);
    if (norm.y != nullptr) load_values(norm.pre_weight + column, pre);
  }
  const float scalar = norm.scalar != nullptr ? __bfloat162float(*norm.scalar) : 1.0F;
  wait_for_previous_kernels();
  float x[kLane] = {};
  float hidden[kLane] = {};
  if (mine) {
    load_values(norm.sublayer + at, x);
    load_values(norm.hidden + at, hidden);
  }
  add_residual(hidden, x, post, rms_scale(x, norm.width, norm.eps, scratch[0]),
               norm.scalar != nullptr, scalar);
  if (mine) store_values(norm.hidden + at, hidden);
  if (norm.y == nullptr) return;

  const float next = rms_scale(hidden, norm.width, norm.eps, scratch[1]);
  if (!mine) return;
#pragma unroll
  for (int i = 0; i < kLane; ++i) hidden[i] = hidden[i] * next * pre[i];
  store_values(norm.y + at, hidden);
}

}  // namespace

cudaError_t rms_norm(const RmsNorm& norm, int count, cudaStream_t stream) noexcept {
  const bool complete = norm.x != nullptr && norm.y != nullptr;
  const bool aliased = norm.x == norm.y && norm.rows != nullptr;
  if (!complete || aliased || count <= 0 || !row_fits_block(norm.width)) {
    return cudaErrorInvalidValue;
  }
  return launch(rms_norm_kernel,
                {.blocks = static_cast<unsigned>(count), .threads = threads_of_row(norm.width)},
                stream, norm);
}

cudaError_t residual_norm(const ResidualNorm& norm, int count, cudaStream_t stream) noexcept {
  const bool complete = norm.sublayer != nullptr && norm.post_weight != nullptr &&
                        norm.hidden != nullptr &&
                        (norm.y == nullptr) == (norm.pre_weight == nullptr);
  if (!complete || count <= 0 || !row_fits_block(norm.width)) return cudaErrorInvalidValue;
  return launch(residual_norm_kernel,
                {.blocks = static_cast<unsigned>(count), .threads = threads_of_row(norm.width)},
                stream, norm);
}

}  // namespace captiond::kernels
