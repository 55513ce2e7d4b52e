#include "model/checkpoint_tensors.h"

#include <array>
#include <utility>

namespace captiond {
namespace {

constexpr std::string_view kText = "model.language_model.";

void add_layer(std::vector<ExpectedTensor>& tensors, const TextConfig& text, std::size_t layer) {
  const AttentionConfig& attention = text.attention(text.layer_types[layer]);
  const std::int64_t width = text.hidden_size;
  const std::int64_t query_width = text.heads * attention.head_dim;
  const std::int64_t kv_width = attention.kv_heads * attention.head_dim;
  const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
    tensors.push_back(
        {std::string(kText) + "layers." + std::to_string(layer) + "." + name, std::move(shape)});
  };
  add("input_layernorm.weight", {width});
  add("self_attn.q_proj.weight", {query_width, width});
  add("self_attn.k_proj.weight", {kv_width, width});
  if (!attention.value_is_key) add("self_attn.v_proj.weight", {kv_width, width});
  add("self_attn.q_norm.weight", {attention.head_dim});
  add("self_attn.k_norm.weight", {attention.head_dim});
  add("self_attn.o_proj.weight", {width, query_width});
  add("post_attention_layernorm.weight", {width});
  add("pre_feedforward_layernorm.weight", {width});
  add("mlp.gate_proj.weight", {text.intermediate_size, width});
  add("mlp.up_proj.weight", {text.intermediate_size, width});
  add("mlp.down_proj.weight", {width, text.intermediate_size});
  add("post_feedforward_layernorm.weight", {width});
  add("layer_scalar", {1});
}

void add_vision(std::vector<ExpectedTensor>& tensors, const VisionConfig& vision,
                std::int64_t text_width) {
  const std::int64_t pixels = vision.patch_size * vision.patch_size * 3;
  const std::int64_t width = vision.mm_embed_dim;
  const std::string embedder = "model.vision_embedder.";
  tensors.push_back({embedder + "patch_ln1.weight", {pixels}});
  tensors.push_back({embedder + "patch_ln1.bias", {pixels}});
  tensors.push_back({embedder + "patch_dense.weight", {width, pixels}});
  tensors.push_back({embedder + "patch_dense.bias", {width}});
  tensors.push_back({embedder + "patch_ln2.weight", {width}});
  tensors.push_back({embedder + "patch_ln2.bias", {width}});
  tensors.push_back({embedder + "pos_embedding", {vision.mm_posemb_size, 2, width}});
  tensors.push_back({embedder + "pos_norm.weight", {width}});
  tensors.push_back({embedder + "pos_norm.bias", {width}});
  tensors.push_back({"model.embed_vision.embedding_projection.weight", {text_width, width}});
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  const TextConfig& text = config.text;
  std::vector<ExpectedTensor> tensors;
  tensors.push_back(
      {std::string(kText) + "embed_tokens.weight", {text.vocab_size, text.hidden_size}});
  for (std::size_t i = 0; i < text.layer_types.size(); ++i) add_layer(tensors, text, i);
  tensors.push_back({std::string(kText) + "norm.weight", {text.hidden_size}});
  if (config.vision) add_vision(tensors, *config.vision, text.hidden_size);
  if (config.audio) {
    tensors.push_back({"model.embed_audio.embedding_projection.weight",
                       {text.hidden_size, config.audio->samples_per_token}});
  }
  return tensors;
}

std::string published_name(std::string_view name) {
  // Newer spelling, published spelling; what follows the prefix is the same.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPrefixes{{
      {"model.embed_vision.patch_ln1.", "model.vision_embedder.patch_ln1."},
      {"model.embed_vision.patch_dense.", "model.vision_embedder.patch_dense."},
      {"model.embed_vision.patch_ln2.", "model.vision_embedder.patch_ln2."},
      {"model.embed_vision.pos_embedding", "model.vision_embedder.pos_embedding"},
      {"model.embed_vision.pos_norm.", "model.vision_embedder.pos_norm."},
      {"model.embed_vision.multimodal_embedder.", "model.embed_vision."},
  }};
  for (const auto& [newer, published] : kPrefixes) {
    if (name.starts_with(newer)) {
      return std::string(published).append(name.substr(newer.size()));
    }
  }
  return std::string(name);
}

}  // namespace captiond
