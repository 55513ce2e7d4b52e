#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/dtype.h"
#include "model/model_config.h"

namespace captiond {

// One tensor of a mapped checkpoint: row-major, little-endian, contiguous, read-only.
struct TensorView {
  std::string name;  // as published, see expected_tensors()
  Dtype dtype = Dtype::kBfloat16;
  std::vector<std::int64_t> shape;
  // Owned by the Checkpoint. Aligned to one element, often not to more.
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

// A Hugging Face `gemma4_unified` folder as published: config.json, generation_config.json (if
// there) and one or several safetensors files, mapped into memory. Immutable after open().
//
// The weights are model.safetensors or the files that model.safetensors.index.json lists; they hold
// the tensors of the config, of one dtype, and nothing else but lm_head.weight, which is tied to
// the embedding and ignored. Files must not be changed in place while they are mapped.
//
// open() checks every tensor's name, dtype and shape against the config before any byte of weights
// is read, and throws CheckpointError. Tensors are asked for by their published name (reference
// model.md section 5), whichever of the two vision spellings the file uses.
class Checkpoint {
 public:
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& folder);

  virtual ~Checkpoint() = default;
  virtual const std::filesystem::path& folder() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual const GenerationConfig& generation_config() const = 0;
  // The tensor `name`; a name that the config does not call for is a programmer error.
  virtual const TensorView& tensor(std::string_view name) const = 0;
  virtual std::size_t weight_bytes() const = 0;

 protected:
  Checkpoint() = default;
};

}  // namespace captiond
