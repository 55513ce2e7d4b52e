#pragma once

#include <cstdint>
#include <memory>

#include "model/reference_weights.h"
#include "model/step.h"

namespace captiond {

// Audio and pictures as rows of the language model: [count, hidden_size] in the engine's dtype.
// Source: reference model.md sections 3.4 and 4. Immutable.
class MediaEmbedder {
 public:
  MediaEmbedder(const WeightReader& reader, const c10::TensorOptions& options);
  ~MediaEmbedder();
  MediaEmbedder(const MediaEmbedder&) = delete;
  MediaEmbedder& operator=(const MediaEmbedder&) = delete;

  // The checkpoint has the modality.
  at::Tensor embed(const AudioRows& audio, std::int64_t count) const;
  at::Tensor embed(const PictureRows& picture, std::int64_t count) const;

 private:
  struct Weights;
  const std::unique_ptr<const Weights> weights_;
};

}  // namespace captiond
