// Norms of the media embedders: a block a frame or patch, eight values a thread.

#include "model/kernels/media_norm.h"
#include "model/kernels/norm.h"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreadsMax = kNormWidthMax / kLane;
constexpr float kLayerNormEps = 1e-5F;               // torch's default, which transformers leaves
constexpr float kPixelScale = 0.00392156862745098F;  // as transformers' image processor has it

__device__ void round_all(float (&x)[kLane]) {
#pragma unroll
  for (float& value : x) value = rounded(value);
}

__device__ void add_all(float (&x)[kLane], const __nv_bfloat16* other) {
  float values[kLane];
  load_values(other, values);
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] += values[i];
}

// x becomes LayerNorm(x) of the block's row, rounded. `scratch` serves this call alone; threads
// beyond the row (`mine` false) take part in the sums with nothing.
__device__ void layer_norm(float (&x)[kLane], const LayerNormWeights& norm, int column, int width,
                           bool mine, float (&scratch)[2][32]) {
  float sum = 0.0F;
#pragma unroll
  for (const float value : x) sum += mine ? value : 0.0F;
  const float mean = block_sum(sum, scratch[0]) / static_cast<float>(width);
#pragma unroll
  for (float& value : x) value = mine ? value - mean : 0.0F;
  const float variance = block_sum(sum_of_squares(x), scratch[1]) / static_cast<float>(width);
  if (!mine) return;
  const float scale = 1.0F / sqrtf(variance + kLayerNormEps);
  float weight[kLane];
  load_values(norm.weight + column, weight);
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] = x[i] * scale * weight[i];
  add_all(x, norm.bias + column);
  round_all(x);
}

__global__ void __launch_bounds__(kThreadsMax)
    norm_audio_frames_kernel(const float* samples, __nv_bfloat16* y, int width, float eps) {
  __shared__ float scratch[32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < width;
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * width + column;
  float x[kLane] = {};
  if (mine) {
#pragma unroll
    for (int i = 0; i < kLane; ++i) x[i] = rounded(samples[at + i]);
  }
  const float sum = block_sum(sum_of_squares(x), scratch);
  if (!mine) return;
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(width) + eps);
#pragma unroll
  for (float& value : x) value *= scale;
  store_values(y + at, x);
}

__global__ void __launch_bounds__(kThreadsMax)
    norm_pixels_kernel(const std::uint8_t* pixels, const LayerNormWeights norm, __nv_bfloat16* y,
                       int width) {
  __shared__ float scratch[2][32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < width;
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * width + column;
  float x[kLane] = {};
  if (mine) {
    const uint2 raw = *reinterpret_cast<const uint2*>(pixels + at);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&raw);
#pragma unroll
    for (int i = 0; i < kLane; ++i) x[i] = rounded(static_cast<float>(bytes[i]) * kPixelScale);
  }
  layer_norm(x, norm, column, width, mine, scratch);
  if (mine) store_values(y + at, x);
}

__global__ void __launch_bounds__(kThreadsMax)
    add_patch_positions_kernel(const PatchPositions work) {
  __shared__ float scratch[5][32];
  const int width = work.width;
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < width;
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * width + column;
  auto& first = *reinterpret_cast<float(*)[2][32]>(&scratch[0]);
  auto& second = *reinterpret_cast<float(*)[2][32]>(&scratch[2]);

  float x[kLane] = {};
  if (mine) {
    load_values(work.x + at, x);
    if (work.x_bias != nullptr) add_all(x, work.x_bias + column);
    round_all(x);
  }
  layer_norm(x, work.patch_norm, column, width, mine, first);
  if (mine) {
    const std::size_t across = work.coordinates[2 * blockIdx.x];
    const std::size_t down = work.coordinates[2 * blockIdx.x + 1];
    float position[kLane];
    load_values(work.positions + 2 * across * width + column, position);
    add_all(position, work.positions + (2 * down + 1) * width + column);
#pragma unroll
    for (int i = 0; i < kLane; ++i) x[i] = rounded(x[i] + rounded(position[i]));
  }
  layer_norm(x, work.position_norm, column, width, mine, second);
  const float sum = block_sum(mine ? sum_of_squares(x) : 0.0F, scratch[4]);
  if (!mine) return;
  const float scale = 1.0F / sqrtf(sum / static_cast<float>(width) + work.eps);
#pragma unroll
  for (float& value : x) value *= scale;
  store_values(work.y + at, x);
}

bool complete(const LayerNormWeights& norm) {
  return norm.weight != nullptr && norm.bias != nullptr;
}

}  // namespace

cudaError_t norm_audio_frames(const float* samples, __nv_bfloat16* y, int frames, int width,
                              float eps, cudaStream_t stream) noexcept {
  if (samples == nullptr || y == nullptr || frames <= 0 || !row_fits_block(width)) {
    return cudaErrorInvalidValue;
  }
  norm_audio_frames_kernel<<<static_cast<unsigned>(frames), threads_of_row(width), 0, stream>>>(
      samples, y, width, eps);
  return cudaGetLastError();
}

cudaError_t norm_pixels(const std::uint8_t* pixels, const LayerNormWeights& norm, __nv_bfloat16* y,
                        int patches, int width, cudaStream_t stream) noexcept {
  if (pixels == nullptr || !complete(norm) || y == nullptr || patches <= 0 ||
      !row_fits_block(width)) {
    return cudaErrorInvalidValue;
  }
  norm_pixels_kernel<<<static_cast<unsigned>(patches), threads_of_row(width), 0, stream>>>(
      pixels, norm, y, width);
  return cudaGetLastError();
}

cudaError_t add_patch_positions(const PatchPositions& work, int patches,
                                cudaStream_t stream) noexcept {
  if (work.x == nullptr || !complete(work.patch_norm) || work.positions == nullptr ||
      work.coordinates == nullptr || !complete(work.position_norm) || work.y == nullptr ||
      patches <= 0 || !row_fits_block(work.width)) {
    return cudaErrorInvalidValue;
  }
  add_patch_positions_kernel<<<static_cast<unsigned>(patches), threads_of_row(work.width), 0,
                               stream>>>(work);
  return cudaGetLastError();
}

}  // namespace captiond::kernels
