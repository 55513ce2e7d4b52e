#include "model/cuda_media.h"

#include <cstdint>
#include <cstring>
#include <variant>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/audio_patches.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/media_norm.h"
#include "model/vision_patches.h"

namespace captiond {
namespace {

constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
constexpr std::size_t kPixels = VisionPatches::kBytesPerPatch;

void send(const DeviceMemory& to, const PinnedMemory& from, std::size_t bytes,
          cudaStream_t stream) {
  kernels::check_cuda(
      cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyHostToDevice, stream),
      "Sending a step's media");
}

kernels::LayerNormWeights weights_of(const CudaWeights::LayerNorm& norm) {
  return {.weight = norm.weight, .bias = norm.bias};
}

}  // namespace

CudaMedia::CudaMedia(const ModelConfig& config, const CudaWeights& weights, std::size_t rows_max)
    : config_(config), weights_(weights) {
  runs_.reserve(rows_max);
  if (weights.audio()) {
    samples_ = PinnedMemory(rows_max * kSamples * sizeof(float), "the audio of a step");
    device_samples_ = DeviceMemory(samples_.bytes(), "the audio of a step");
    frames_ = DeviceMemory(rows_max * kSamples * sizeof(__nv_bfloat16), "the audio of a step");
  }
  if (weights.vision()) {
    pixels_ = PinnedMemory(rows_max * kPixels, "the pictures of a step");
    coordinates_ = PinnedMemory(rows_max * 2 * sizeof(std::int32_t), "the pictures of a step");
    device_pixels_ = DeviceMemory(pixels_.bytes(), "the pictures of a step");
    device_coordinates_ = DeviceMemory(coordinates_.bytes(), "the pictures of a step");
    patches_ = DeviceMemory(rows_max * kPixels * sizeof(__nv_bfloat16), "the pictures of a step");
    const auto width = static_cast<std::size_t>(config.vision->mm_embed_dim);
    embedded_ = DeviceMemory(rows_max * width * sizeof(__nv_bfloat16), "the pictures of a step");
  }
}

void CudaMedia::append_shapes(const CudaWeights& weights,
                              std::vector<kernels::ProductShape>& shapes) {
  const auto append = [&](const kernels::Matrix& matrix) {
    shapes.push_back({.format = matrix.format, .out = matrix.out, .in = matrix.in});
  };
  if (weights.audio()) append(*weights.audio());
  if (weights.vision()) {
    append(weights.vision()->dense);
    append(weights.vision()->projection);
  }
}

void CudaMedia::embed(const Step& step, __nv_bfloat16* hidden, const CudaProducts& products) {
  if (weights_.audio()) embed_audio(step, hidden, products);
  if (weights_.vision()) embed_pictures(step, hidden, products);
}

void CudaMedia::add_run(std::size_t row, std::size_t count) {
  const std::size_t first = runs_.empty() ? 0 : runs_.back().first + runs_.back().count;
  if (!runs_.empty() && runs_.back().row + runs_.back().count == row) {
    runs_.back().count += count;
  } else {
    runs_.push_back({.row = row, .first = first, .count = count});
  }
}

void CudaMedia::project(const kernels::Matrix& weight, const __nv_bfloat16* x,
                        __nv_bfloat16* hidden, const CudaProducts& products) const {
  for (const Run& run : runs_) {
    products.linear(weight, x + run.first * static_cast<std::size_t>(weight.in),
                    hidden + run.row * static_cast<std::size_t>(weight.out), run.count);
  }
}

void CudaMedia::embed_audio(const Step& step, __nv_bfloat16* hidden, const CudaProducts& products) {
  runs_.clear();
  std::size_t row = 0;
  std::size_t frames = 0;
  for (const StepSlice& slice : step.slices) {
    if (const auto* audio = std::get_if<AudioRows>(&slice.rows)) {
      std::memcpy(samples_.as<float>() + frames * kSamples, audio->samples.data(),
                  slice.count * kSamples * sizeof(float));
      add_run(row, slice.count);
      frames += slice.count;
    }
    row += slice.count;
  }
  if (frames == 0) return;
  send(device_samples_, samples_, frames * kSamples * sizeof(float), products.stream());
  kernels::check_cuda(kernels::norm_audio_frames(
                          device_samples_.as<float>(), frames_.as<__nv_bfloat16>(),
                          static_cast<int>(frames), static_cast<int>(kSamples),
                          static_cast<float>(config_.audio->rms_norm_eps), products.stream()),
                      "The launch of norm_audio_frames");
  project(*weights_.audio(), frames_.as<__nv_bfloat16>(), hidden, products);
}

void CudaMedia::embed_pictures(const Step& step, __nv_bfloat16* hidden,
                               const CudaProducts& products) {
  runs_.clear();
  std::size_t row = 0;
  std::size_t patches = 0;
  for (const StepSlice& slice : step.slices) {
    if (const auto* picture = std::get_if<PictureRows>(&slice.rows)) {
      std::memcpy(pixels_.data() + patches * kPixels, picture->pixels.data(),
                  slice.count * kPixels);
      auto* coordinate = coordinates_.as<std::int32_t>() + 2 * patches;
      for (std::size_t i = 0; i < slice.count; ++i) {
        const std::size_t patch = picture->first_patch + i;
        *coordinate++ = static_cast<std::int32_t>(patch % picture->columns);
        *coordinate++ = static_cast<std::int32_t>(patch / picture->columns);
      }
      add_run(row, slice.count);
      patches += slice.count;
    }
    row += slice.count;
  }
  if (patches == 0) return;
  const CudaWeights::Vision& vision = *weights_.vision();
  const cudaStream_t stream = products.stream();
  const int count = static_cast<int>(patches);
  send(device_pixels_, pixels_, patches * kPixels, stream);
  send(device_coordinates_, coordinates_, patches * 2 * sizeof(std::int32_t), stream);
  kernels::check_cuda(
      kernels::norm_pixels(device_pixels_.as<std::uint8_t>(), weights_of(vision.patch_norm1),
                           patches_.as<__nv_bfloat16>(), count, static_cast<int>(kPixels), stream),
      "The launch of norm_pixels");
  auto* embedded = embedded_.as<__nv_bfloat16>();
  products.linear(vision.dense, patches_.as<__nv_bfloat16>(), embedded, patches);
  const kernels::PatchPositions positions{.x = embedded,
                                          .x_bias = vision.dense_bias,
                                          .patch_norm = weights_of(vision.patch_norm2),
                                          .positions = vision.positions,
                                          .coordinates = device_coordinates_.as<std::int32_t>(),
                                          .position_norm = weights_of(vision.position_norm),
                                          .y = embedded,
                                          .width = vision.dense.out,
                                          .eps = static_cast<float>(config_.vision->rms_norm_eps)};
  kernels::check_cuda(kernels::add_patch_positions(positions, count, stream),
                      "The launch of add_patch_positions");
  project(vision.projection, embedded, hidden, products);
}

std::size_t CudaMedia::device_bytes() const {
  return device_samples_.bytes() + frames_.bytes() + device_pixels_.bytes() +
         device_coordinates_.bytes() + patches_.bytes() + embedded_.bytes();
}

}  // namespace captiond
