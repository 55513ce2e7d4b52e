#include "model/text_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/checkpoint_error.h"

namespace captiond {
namespace {

constexpr std::int64_t kMostLayers = 1024;

std::vector<LayerType> parse_layer_types(const JsonObject& text) {
  const std::int64_t layers = text.integer("num_hidden_layers", {1, kMostLayers});
  const std::vector<std::string> names = text.strings("layer_types");
  if (static_cast<std::int64_t>(names.size()) != layers) {
    text.refuse("layer_types",
                "an array of num_hidden_layers = " + std::to_string(layers) + " strings");
  }
  std::vector<LayerType> types;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == "sliding_attention") {
      types.push_back(LayerType::kSliding);
    } else if (names[i] == "full_attention") {
      types.push_back(LayerType::kFull);
    } else {
      throw CheckpointError(text.file().string() + ": " + text.path_of("layer_types") + "[" +
                            std::to_string(i) +
                            "] must be \"sliding_attention\" or \"full_attention\", found " +
                            shown_text(names[i]) + ".");
    }
  }
  if (types.back() != LayerType::kFull) {
    text.refuse("layer_types", "an array that ends with \"full_attention\"");
  }
  return types;
}

// The keys in which layers may differ, read from `object` where it has them.
void read_heads(const JsonObject& object, AttentionConfig& attention) {
  if (object.has("head_dim")) attention.head_dim = object.integer("head_dim");
  if (object.has("num_key_value_heads")) {
    attention.kv_heads = object.integer("num_key_value_heads");
  }
}

// transformers 5.17 writes `per_layer_config`: for each layer that differs, its number (maybe with
// leading zeros) and the keys in which it does. Here all layers of a type must agree, as they do in
// every config that transformers derives from global_head_dim and num_global_key_value_heads.
void apply_per_layer_config(const JsonObject& text, TextConfig& config) {
  const JsonObject overrides = text.object("per_layer_config");
  std::vector<AttentionConfig> layers(config.layer_types.size(), config.sliding);
  std::vector<bool> seen(layers.size(), false);
  for (const std::string& key : overrides.keys()) {
    std::size_t layer = layers.size();
    if (!key.empty() && key.size() <= 9 &&
        key.find_first_not_of("0123456789") == std::string::npos) {
      layer = std::stoul(key);
    }
    if (layer >= layers.size() || seen[layer]) {
      throw CheckpointError(text.file().string() + ": " + text.path_of("per_layer_config") +
                            " must name layers from 0 to " + std::to_string(layers.size() - 1) +
                            ", each once, found " + shown_text(key) + ".");
    }
    seen[layer] = true;
    const JsonObject one = overrides.object(key);
    for (const std::string& name : one.keys()) {
      if (name != "head_dim" && name != "num_key_value_heads") {
        one.refuse(name, "absent", "only head_dim and num_key_value_heads may differ by layer");
      }
    }
    read_heads(one, layers[layer]);
  }
  std::array<const AttentionConfig*, 2> first{};  // by LayerType
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const AttentionConfig*& other = first[config.layer_types[i] == LayerType::kFull ? 1 : 0];
    if (other == nullptr) other = &layers[i];
    if (layers[i].head_dim != other->head_dim || layers[i].kv_heads != other->kv_heads) {
      throw CheckpointError(text.file().string() + ": " + text.path_of("per_layer_config") +
                            " must give all layers of one type the same heads, found layer " +
                            std::to_string(i) + " unlike the one before it of its type.");
    }
  }
  if (first[0] != nullptr) config.sliding = *first[0];
  config.full = *first[1];  // the last layer is always full
}

// The keys that Google published, which transformers turns into per_layer_config on load. Beside a
// per_layer_config transformers ignores them; here they must not contradict it.
void apply_global_keys(const JsonObject& text, bool per_layer, TextConfig& config) {
  AttentionConfig global = config.full;
  if (text.has("global_head_dim")) {
    global.head_dim = text.integer("global_head_dim");
  } else if (!per_layer) {
    global.head_dim = 512;  // transformers' default
  }
  // Without attention_k_eq_v the reference gives full layers the ordinary number of KV heads.
  if (text.has("num_global_key_value_heads")) {
    const std::int64_t heads = text.integer("num_global_key_value_heads");
    if (config.full.value_is_key) global.kv_heads = heads;
  }
  if (per_layer && global.head_dim != config.full.head_dim) {
    text.refuse("global_head_dim", "the head_dim of per_layer_config's full layers, " +
                                       std::to_string(config.full.head_dim));
  }
  if (per_layer && global.kv_heads != config.full.kv_heads) {
    text.refuse("num_global_key_value_heads",
                "the num_key_value_heads of per_layer_config's full layers, " +
                    std::to_string(config.full.kv_heads));
  }
  config.full = global;
}

bool uses(const TextConfig& config, LayerType type) {
  return std::find(config.layer_types.begin(), config.layer_types.end(), type) !=
         config.layer_types.end();
}

// Sources: transformers' default and proportional rope, reference model.md section 1.3.
RopeConfig parse_rope(const JsonObject& rope, std::int64_t head_dim) {
  RopeConfig config;
  const std::string type = rope.string("rope_type");
  config.theta = rope.positive_number("rope_theta");
  config.rotary_pairs = head_dim / 2;
  if (type == "default") {
    rope.require("factor", 1.0);
    rope.require("partial_rotary_factor", 1.0);
    return config;
  }
  if (type != "proportional") rope.refuse("rope_type", "\"default\" or \"proportional\"");
  if (rope.has("factor")) config.factor = rope.positive_number("factor");
  if (rope.has("partial_rotary_factor")) {
    const double part = rope.number("partial_rotary_factor");
    if (!(part >= 0 && part <= 1)) rope.refuse("partial_rotary_factor", "a number from 0 to 1");
    config.rotary_pairs =
        static_cast<std::int64_t>(std::floor(part * static_cast<double>(head_dim) / 2));
  }
  return config;
}

void parse_ropes(const JsonObject& text, TextConfig& config) {
  config.sliding.rope = {10'000.0, 1.0, config.sliding.head_dim / 2};
  config.full.rope = {1'000'000.0, 1.0, config.full.head_dim / 2 / 4};
  if (!text.has("rope_parameters")) return;  // transformers' defaults, just set
  const JsonObject ropes = text.object("rope_parameters");
  if (uses(config, LayerType::kSliding) || ropes.has("sliding_attention")) {
    config.sliding.rope = parse_rope(ropes.object("sliding_attention"), config.sliding.head_dim);
  }
  config.full.rope = parse_rope(ropes.object("full_attention"), config.full.head_dim);
}

void check_heads(const JsonObject& text, const TextConfig& config) {
  for (const LayerType type : {LayerType::kSliding, LayerType::kFull}) {
    if (!uses(config, type)) continue;
    const AttentionConfig& attention = config.attention(type);
    const std::string name = type == LayerType::kSliding ? "sliding_attention" : "full_attention";
    if (config.heads % attention.kv_heads != 0) {
      text.refuse("num_attention_heads", "a multiple of the " + std::to_string(attention.kv_heads) +
                                             " key-value heads of the " + name + " layers");
    }
    if (attention.head_dim % 2 != 0) {
      throw CheckpointError(text.file().string() + ": " + text.path_of("head_dim") + " of the " +
                            name + " layers must be even, found " +
                            std::to_string(attention.head_dim) + ".");
    }
  }
}

bool vision_blocks_bidirectional(const JsonObject& text) {
  // Absent means "vision" to transformers, null means no bidirectional attention at all.
  const char* key = "use_bidirectional_attention";
  if (!text.names(key)) return true;
  if (!text.has(key)) return false;
  if (text.string(key) != "vision") text.refuse(key, "\"vision\" or null");
  return true;
}

}  // namespace

TextConfig parse_text_config(const JsonObject& text) {
  text.require("model_type", "gemma4_unified_text");
  text.require("hidden_activation", "gelu_pytorch_tanh");
  text.require("attention_bias", false);
  text.require("tie_word_embeddings", true);
  text.require("num_kv_shared_layers", 0);
  text.require("use_double_wide_mlp", false);
  text.require("hidden_size_per_layer_input", 0);
  text.require("enable_moe_block", false);
  text.require("attn_logit_softcapping", nullptr);
  text.require("rope_scaling", nullptr);
  text.require("quantization_config", nullptr);
  TextConfig config;
  config.vocab_size = text.integer("vocab_size");
  config.hidden_size = text.integer("hidden_size");
  config.intermediate_size = text.integer("intermediate_size");
  config.heads = text.integer("num_attention_heads");
  config.sliding_window = text.integer("sliding_window");
  config.max_position_embeddings = text.integer("max_position_embeddings");
  config.rms_norm_eps = text.has("rms_norm_eps") ? text.positive_number("rms_norm_eps") : 1e-6;
  if (text.has("final_logit_softcapping")) {
    config.final_logit_softcapping = text.positive_number("final_logit_softcapping");
  }
  config.layer_types = parse_layer_types(text);
  config.sliding.head_dim = text.integer("head_dim");
  config.sliding.kv_heads = text.integer("num_key_value_heads");
  config.full = config.sliding;
  const bool per_layer = text.has("per_layer_config");
  if (per_layer) apply_per_layer_config(text, config);
  config.full.value_is_key = text.has("attention_k_eq_v") && text.boolean("attention_k_eq_v");
  apply_global_keys(text, per_layer, config);
  check_heads(text, config);
  parse_ropes(text, config);
  config.vision_blocks_bidirectional = vision_blocks_bidirectional(text);
  config.pad_token_id =
      static_cast<TokenId>(text.integer_or("pad_token_id", 0, {0, config.vocab_size - 1}));
  return config;
}

}  // namespace captiond
