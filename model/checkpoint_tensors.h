#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_config.h"

namespace captiond {

// A tensor that a checkpoint of some config must have.
struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;  // Linear weights are [out, in]
};

// All tensors of a `gemma4_unified` checkpoint by their published names: the text model, then the
// vision and the audio embedder where the config has them. Source: reference model.md section 5.
std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config);

// The published name of a tensor that `name` may be the newer spelling of: transformers keeps the
// vision embedder under `embed_vision` in memory, and save_pretrained(save_original_format=False)
// writes it so. Any other name comes back as it is.
std::string published_name(std::string_view name);

}  // namespace captiond
