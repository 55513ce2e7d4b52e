#pragma once

#include <cstddef>
#include <vector>

#include "model/cuda_memory.h"
#include "model/cuda_products.h"
#include "model/cuda_weights.h"
#include "model/model_config.h"
#include "model/step.h"

namespace captiond {

// The audio and the pictures of a step on their way to rows of the language model. Source:
// reference model.md sections 3.4 and 4; rounding as MediaEmbedder. Engine thread only.
class CudaMedia {
 public:
  // For steps of up to `rows_max` rows. `config` and `weights` outlive the object. Throws
  // std::runtime_error when memory is short.
  CudaMedia(const ModelConfig& config, const CudaWeights& weights, std::size_t rows_max);

  // The products that embed() calls.
  static void append_shapes(const CudaWeights& weights, std::vector<kernels::ProductShape>& shapes);

  // Sends the samples and the pixels of `step` and enqueues what writes their rows of `hidden`
  // [rows, hidden_size]; rows of ids are left alone. What was sent before has been used.
  void embed(const Step& step, __nv_bfloat16* hidden, const CudaProducts& products);

  std::size_t device_bytes() const;

 private:
  // Rows of one kind that are neighbours in the step.
  struct Run {
    std::size_t row = 0;    // of the step
    std::size_t first = 0;  // of the kind
    std::size_t count = 0;
  };

  void embed_audio(const Step& step, __nv_bfloat16* hidden, const CudaProducts& products);
  void embed_pictures(const Step& step, __nv_bfloat16* hidden, const CudaProducts& products);
  void project(const kernels::Matrix& weight, const __nv_bfloat16* x, __nv_bfloat16* hidden,
               const CudaProducts& products) const;
  void add_run(std::size_t row, std::size_t count);

  const ModelConfig& config_;
  const CudaWeights& weights_;
  std::vector<Run> runs_;  // of the kind at hand

  PinnedMemory samples_;  // [rows, 640] float32
  DeviceMemory device_samples_;
  DeviceMemory frames_;  // [rows, 640] bf16

  PinnedMemory pixels_;       // [rows, 6912] bytes
  PinnedMemory coordinates_;  // [rows, 2] int32
  DeviceMemory device_pixels_;
  DeviceMemory device_coordinates_;
  DeviceMemory patches_;   // [rows, 6912] bf16
  DeviceMemory embedded_;  // [rows, mm_embed_dim] bf16
};

}  // namespace captiond
