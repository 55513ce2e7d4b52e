#include "model/cuda_weights.h"

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>

#include <cuda_bf16.h>

#include "model/check.h"
#include "model/checkpoint_tensors.h"
#include "model/cuda_upload.h"

namespace captiond {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t elements_of(const std::vector<std::int64_t>& shape) {
  std::size_t elements = 1;
  for (const std::int64_t dimension : shape) elements *= static_cast<std::size_t>(dimension);
  return elements;
}

// Enough for all tensors of the checkpoint, each aligned.
std::size_t bytes_of(const ModelConfig& config) {
  std::size_t bytes = 0;
  for (const ExpectedTensor& tensor : expected_tensors(config)) {
    bytes += aligned(elements_of(tensor.shape) * sizeof(__nv_bfloat16));
  }
  return bytes;
}

// Gives tensors their place, one behind the other, and remembers what has to travel there.
class Placement {
 public:
  Placement(const Checkpoint& checkpoint, const DeviceMemory& memory)
      : checkpoint_(checkpoint), next_(memory.data()), end_(next_ + memory.bytes()) {}

  const __nv_bfloat16* vector(const std::string& name) {
    std::byte* place = next_;
    append(checkpoint_.tensor(name));
    close();
    return reinterpret_cast<const __nv_bfloat16*>(place);
  }

  // The rows of all `names` one below the other; each [*, in].
  kernels::Matrix matrix(std::initializer_list<std::string> names) {
    kernels::Matrix matrix{.values = next_};
    for (const std::string& name : names) {
      const TensorView& tensor = checkpoint_.tensor(name);
      matrix.out += static_cast<int>(tensor.shape[0]);
      matrix.in = static_cast<int>(tensor.shape[1]);
      append(tensor);
    }
    close();
    return matrix;
  }

  const std::vector<UploadPart>& parts() const { return parts_; }

 private:
  void append(const TensorView& tensor) {
    const std::size_t elements = elements_of(tensor.shape);
    parts_.push_back(
        {.from = tensor.data, .dtype = tensor.dtype, .to = next_, .elements = elements});
    next_ += elements * sizeof(__nv_bfloat16);
  }
  void close() {
    next_ = end_ - static_cast<std::size_t>(end_ - next_) / kAlignment * kAlignment;
    check(next_ <= end_, "the weights have room for every tensor");
  }

  const Checkpoint& checkpoint_;
  std::byte* next_;
  std::byte* const end_;  // aligned
  std::vector<UploadPart> parts_;
};

CudaWeights::Layer place_layer(Placement& place, const TextConfig& text, std::size_t index) {
  const std::string prefix = "model.language_model.layers." + std::to_string(index) + ".";
  const auto name = [&](const char* suffix) { return prefix + suffix + ".weight"; };
  const std::string query = name("self_attn.q_proj");
  const std::string key = name("self_attn.k_proj");
  const bool value_is_key = text.attention(text.layer_types[index]).value_is_key;
  CudaWeights::Layer layer;
  layer.query_key_value = value_is_key ? place.matrix({query, key})
                                       : place.matrix({query, key, name("self_attn.v_proj")});
  layer.attention_out = place.matrix({name("self_attn.o_proj")});
  layer.gate_up = place.matrix({name("mlp.gate_proj"), name("mlp.up_proj")});
  layer.down = place.matrix({name("mlp.down_proj")});
  layer.input_norm = place.vector(name("input_layernorm"));
  layer.query_norm = place.vector(name("self_attn.q_norm"));
  layer.key_norm = place.vector(name("self_attn.k_norm"));
  layer.post_attention_norm = place.vector(name("post_attention_layernorm"));
  layer.pre_feedforward_norm = place.vector(name("pre_feedforward_layernorm"));
  layer.post_feedforward_norm = place.vector(name("post_feedforward_layernorm"));
  layer.scalar = place.vector(prefix + "layer_scalar");
  return layer;
}

CudaWeights::Vision place_vision(Placement& place) {
  const std::string prefix = "model.vision_embedder.";
  const auto layer_norm = [&](const std::string& name) {
    return CudaWeights::LayerNorm{.weight = place.vector(prefix + name + ".weight"),
                                  .bias = place.vector(prefix + name + ".bias")};
  };
  return {
      .patch_norm1 = layer_norm("patch_ln1"),
      .dense = place.matrix({prefix + "patch_dense.weight"}),
      .dense_bias = place.vector(prefix + "patch_dense.bias"),
      .patch_norm2 = layer_norm("patch_ln2"),
      .positions = place.vector(prefix + "pos_embedding"),
      .position_norm = layer_norm("pos_norm"),
      .projection = place.matrix({"model.embed_vision.embedding_projection.weight"}),
  };
}

}  // namespace

CudaWeights::CudaWeights(const Checkpoint& checkpoint)
    : memory_(bytes_of(checkpoint.config()), "the weights of " + checkpoint.folder().string()) {
  const ModelConfig& config = checkpoint.config();
  Placement place(checkpoint, memory_);
  embedding_ = place.matrix({"model.language_model.embed_tokens.weight"});
  for (std::size_t i = 0; i < config.text.layer_types.size(); ++i) {
    layers_.push_back(place_layer(place, config.text, i));
  }
  norm_ = place.vector("model.language_model.norm.weight");
  if (config.audio) audio_ = place.matrix({"model.embed_audio.embedding_projection.weight"});
  if (config.vision) vision_ = place_vision(place);
  const auto began = std::chrono::steady_clock::now();
  upload(place.parts());
  upload_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace captiond
