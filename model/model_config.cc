#include "model/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "model/audio_patches.h"
#include "model/checkpoint_error.h"
#include "model/json_object.h"
#include "model/vision_patches.h"

namespace captiond {
namespace {

using Range = JsonObject::Range;

constexpr std::int64_t kMostLayers = 1024;

// A key that the engine only knows with one value; absent and null mean that value too.
struct Fixed {
  const char* key;
  nlohmann::json value;
};

void require_fixed(const JsonObject& object, const std::vector<Fixed>& fixed) {
  for (const Fixed& entry : fixed) {
    if (!object.has(entry.key) || object.value(entry.key) == entry.value) continue;
    object.refuse(entry.key, entry.value.is_null()
                                 ? "absent or null (nothing else is implemented)"
                                 : shown(entry.value) + " (nothing else is implemented)");
  }
}

void require_model_type(const JsonObject& object, std::string_view expected, bool must_be_there) {
  if (!must_be_there && !object.has("model_type")) return;
  if (object.string("model_type") != expected) object.refuse("model_type", shown_text(expected));
}

double positive_number(const JsonObject& object, std::string_view key) {
  const double number = object.number(key);
  if (!(number > 0)) object.refuse(key, "a number above 0");
  return number;
}

double eps_of(const JsonObject& object) {
  return object.has("rms_norm_eps") ? positive_number(object, "rms_norm_eps") : 1e-6;
}

std::int64_t integer_or(const JsonObject& object, std::string_view key, std::int64_t fallback,
                        Range range = {}) {
  return object.has(key) ? object.integer(key, range) : fallback;
}

Range ids_of(std::int64_t vocab_size) { return {0, vocab_size - 1}; }

// One id or an array of ids; empty if the key is absent.
std::vector<TokenId> token_ids(const JsonObject& object, std::string_view key, Range ids) {
  std::vector<TokenId> result;
  if (!object.has(key)) return result;
  if (object.value(key).is_array()) {
    for (const std::int64_t id : object.integers(key, ids)) {
      result.push_back(static_cast<TokenId>(id));
    }
  } else {
    result.push_back(static_cast<TokenId>(object.integer(key, ids)));
  }
  return result;
}

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
  if (object.has("head_dim")) attention.head_dim = object.integer("head_dim", {});
  if (object.has("num_key_value_heads")) {
    attention.kv_heads = object.integer("num_key_value_heads", {});
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
      overrides.refuse(
          key, "named for a layer from 0 to " + std::to_string(layers.size() - 1) + ", each once");
    }
    seen[layer] = true;
    const JsonObject one = overrides.object(key);
    for (const std::string& name : one.keys()) {
      if (name != "head_dim" && name != "num_key_value_heads") {
        one.refuse(name, "absent (only head_dim and num_key_value_heads may differ by layer)");
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
    global.head_dim = text.integer("global_head_dim", {});
  } else if (!per_layer) {
    global.head_dim = 512;  // transformers' default
  }
  // Without attention_k_eq_v the reference gives full layers the ordinary number of KV heads.
  if (text.has("num_global_key_value_heads")) {
    const std::int64_t heads = text.integer("num_global_key_value_heads", {});
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

// Sources: transformers' default and proportional rope, reference model.md section 1.3.
RopeConfig parse_rope(const JsonObject& rope, std::int64_t head_dim) {
  RopeConfig config;
  const std::string type = rope.string("rope_type");
  config.theta = positive_number(rope, "rope_theta");
  config.rotary_pairs = head_dim / 2;
  if (type == "default") {
    require_fixed(rope, {{"factor", 1.0}, {"partial_rotary_factor", 1.0}});
    return config;
  }
  if (type != "proportional") rope.refuse("rope_type", "\"default\" or \"proportional\"");
  if (rope.has("factor")) config.factor = positive_number(rope, "factor");
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
  const bool slides =
      std::count(config.layer_types.begin(), config.layer_types.end(), LayerType::kSliding) > 0;
  if (slides || ropes.has("sliding_attention")) {
    config.sliding.rope = parse_rope(ropes.object("sliding_attention"), config.sliding.head_dim);
  }
  config.full.rope = parse_rope(ropes.object("full_attention"), config.full.head_dim);
}

void check_heads(const JsonObject& text, const TextConfig& config) {
  for (const LayerType type : {LayerType::kSliding, LayerType::kFull}) {
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
  const nlohmann::json& value = text.value("use_bidirectional_attention");
  const std::vector<std::string> keys = text.keys();
  if (std::find(keys.begin(), keys.end(), "use_bidirectional_attention") == keys.end()) return true;
  if (value.is_null()) return false;
  if (value != "vision") text.refuse("use_bidirectional_attention", "\"vision\" or null");
  return true;
}

TextConfig parse_text(const JsonObject& text) {
  require_model_type(text, "gemma4_unified_text", false);
  require_fixed(text, {{"hidden_activation", "gelu_pytorch_tanh"},
                       {"attention_bias", false},
                       {"tie_word_embeddings", true},
                       {"num_kv_shared_layers", 0},
                       {"use_double_wide_mlp", false},
                       {"hidden_size_per_layer_input", 0},
                       {"enable_moe_block", false},
                       {"num_experts", nullptr},
                       {"attn_logit_softcapping", nullptr},
                       {"rope_scaling", nullptr},
                       {"quantization_config", nullptr}});
  TextConfig config;
  config.vocab_size = text.integer("vocab_size", {});
  config.hidden_size = text.integer("hidden_size", {});
  config.intermediate_size = text.integer("intermediate_size", {});
  config.heads = text.integer("num_attention_heads", {});
  config.sliding_window = text.integer("sliding_window", {});
  config.max_position_embeddings = text.integer("max_position_embeddings", {});
  config.rms_norm_eps = eps_of(text);
  if (text.has("final_logit_softcapping")) {
    config.final_logit_softcapping = positive_number(text, "final_logit_softcapping");
  }
  config.layer_types = parse_layer_types(text);
  config.sliding.head_dim = text.integer("head_dim", {});
  config.sliding.kv_heads = text.integer("num_key_value_heads", {});
  config.full = config.sliding;
  const bool per_layer = text.has("per_layer_config");
  if (per_layer) apply_per_layer_config(text, config);
  config.full.value_is_key = text.has("attention_k_eq_v") && text.boolean("attention_k_eq_v");
  apply_global_keys(text, per_layer, config);
  check_heads(text, config);
  parse_ropes(text, config);
  config.vision_blocks_bidirectional = vision_blocks_bidirectional(text);
  config.pad_token_id =
      static_cast<TokenId>(integer_or(text, "pad_token_id", 0, ids_of(config.vocab_size)));
  return config;
}

VisionConfig parse_vision(const JsonObject& vision) {
  require_model_type(vision, "gemma4_unified_vision", false);
  VisionConfig config;
  const std::int64_t pooling = integer_or(vision, "pooling_kernel_size", 3, {1, 4096});
  config.patch_size = integer_or(vision, "patch_size", 16, {1, 4096}) * pooling;
  constexpr auto kSide = static_cast<std::int64_t>(VisionPatches::kSide);
  if (config.patch_size != kSide) {
    vision.refuse("patch_size", std::to_string(kSide) +
                                    " when multiplied with pooling_kernel_size, which is " +
                                    std::to_string(pooling));
  }
  require_fixed(vision, {{"model_patch_size", kSide}});
  config.mm_embed_dim = vision.integer("mm_embed_dim", {});
  // The layer between them is a norm without weights: both are one width.
  if (integer_or(vision, "output_proj_dims", 3840) != config.mm_embed_dim) {
    vision.refuse("output_proj_dims", "mm_embed_dim, " + std::to_string(config.mm_embed_dim));
  }
  config.mm_posemb_size = vision.integer("mm_posemb_size", {});
  config.default_soft_tokens = integer_or(vision, "num_soft_tokens", 280);
  constexpr std::array<std::int64_t, 5> kBudgets{70, 140, 280, 560, 1120};
  if (std::find(kBudgets.begin(), kBudgets.end(), config.default_soft_tokens) == kBudgets.end()) {
    vision.refuse("num_soft_tokens", "70, 140, 280, 560 or 1120");
  }
  config.rms_norm_eps = eps_of(vision);
  return config;
}

AudioConfig parse_audio(const JsonObject& audio) {
  require_model_type(audio, "gemma4_unified_audio", false);
  constexpr auto kSamples = static_cast<std::int64_t>(AudioPatches::kSamplesPerPatch);
  // Four names for the one width of an audio soft token.
  require_fixed(audio, {{"audio_embed_dim", kSamples},
                        {"audio_samples_per_token", kSamples},
                        {"hidden_size", kSamples},
                        {"output_proj_dims", kSamples}});
  AudioConfig config;
  config.samples_per_token = kSamples;
  config.rms_norm_eps = eps_of(audio);
  return config;
}

// Reads the special ids of one modality into `ids`. A modality that the checkpoint lacks never uses
// its ids, and a small text checkpoint keeps transformers' defaults beyond its vocabulary, so these
// are only checked for type.
struct SpecialId {
  const char* key;
  TokenId* id;  // holds the default
};

void parse_special_ids(const JsonObject& root, const std::vector<SpecialId>& ids, bool used,
                       const TextConfig& text) {
  for (const SpecialId& special : ids) {
    const std::vector<std::string> keys = root.keys();
    const bool there = std::find(keys.begin(), keys.end(), special.key) != keys.end();
    if (there && root.has(special.key)) {
      const Range range = used ? ids_of(text.vocab_size) : Range{0, Range{}.highest};
      *special.id = static_cast<TokenId>(root.integer(special.key, range));
    } else if (used && (there || *special.id >= text.vocab_size)) {
      root.refuse(special.key,
                  "an id of the vocabulary, 0 to " + std::to_string(text.vocab_size - 1));
    } else if (there) {
      *special.id = -1;
    }
  }
}

void require_distinct(const JsonObject& root, const std::vector<SpecialId>& ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (*ids[i].id != *ids[j].id) continue;
      root.refuse(ids[i].key,
                  std::string("another id than ") + ids[j].key + ", " + std::to_string(*ids[j].id));
    }
  }
}

void parse_special_ids(const JsonObject& root, ModelConfig& config) {
  std::vector<SpecialId> vision{{"image_token_id", &config.image_token_id},
                                {"video_token_id", &config.video_token_id},
                                {"boi_token_id", &config.boi_token_id},
                                {"eoi_token_id", &config.eoi_token_id}};
  std::vector<SpecialId> audio{{"audio_token_id", &config.audio_token_id},
                               {"boa_token_id", &config.boa_token_id},
                               {"eoa_token_index", &config.eoa_token_id}};
  parse_special_ids(root, vision, config.vision.has_value(), config.text);
  parse_special_ids(root, audio, config.audio.has_value(), config.text);
  std::vector<SpecialId> used;
  if (config.vision) used.insert(used.end(), vision.begin(), vision.end());
  if (config.audio) used.insert(used.end(), audio.begin(), audio.end());
  require_distinct(root, used);
}

std::optional<Dtype> parse_dtype(const JsonObject& root) {
  // `torch_dtype` is the older name of the same key.
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!root.has(key)) continue;
    const std::string name = root.string(key);
    if (name == "float32") return Dtype::kFloat32;
    if (name == "bfloat16") return Dtype::kBfloat16;
    root.refuse(key, "\"bfloat16\" or \"float32\"");
  }
  return std::nullopt;
}

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::filesystem::path& file) {
  const JsonObject root = JsonObject::parse(text, file);
  require_model_type(root, "gemma4_unified", true);
  require_fixed(root, {{"tie_word_embeddings", true}, {"quantization_config", nullptr}});
  ModelConfig config;
  config.dtype = parse_dtype(root);
  const JsonObject text_object = root.object("text_config");
  config.text = parse_text(text_object);
  if (root.has("vision_config")) config.vision = parse_vision(root.object("vision_config"));
  if (root.has("audio_config")) config.audio = parse_audio(root.object("audio_config"));
  parse_special_ids(root, config);
  const JsonObject& eos = root.has("eos_token_id") ? root : text_object;
  config.eos_token_ids = token_ids(eos, "eos_token_id", ids_of(config.text.vocab_size));
  return config;
}

GenerationConfig parse_generation_config(std::string_view text, const std::filesystem::path& file,
                                         const ModelConfig& model) {
  const JsonObject root = JsonObject::parse(text, file);
  require_fixed(root, {{"num_beams", 1},
                       {"num_beam_groups", 1},
                       {"penalty_alpha", nullptr},
                       {"repetition_penalty", 1.0},
                       {"encoder_repetition_penalty", 1.0},
                       {"no_repeat_ngram_size", 0},
                       {"encoder_no_repeat_ngram_size", 0},
                       {"min_length", 0},
                       {"min_new_tokens", 0},
                       {"min_p", 0.0},
                       {"top_h", nullptr},
                       {"typical_p", 1.0},
                       {"epsilon_cutoff", 0.0},
                       {"eta_cutoff", 0.0},
                       {"guidance_scale", 1.0},
                       {"bad_words_ids", nullptr},
                       {"sequence_bias", nullptr},
                       {"begin_suppress_tokens", nullptr},
                       {"forced_bos_token_id", nullptr},
                       {"forced_eos_token_id", nullptr},
                       {"exponential_decay_length_penalty", nullptr},
                       {"watermarking_config", nullptr},
                       {"stop_strings", nullptr}});
  const Range ids = ids_of(model.text.vocab_size);
  GenerationConfig config;
  config.eos_token_ids =
      root.has("eos_token_id") ? token_ids(root, "eos_token_id", ids) : model.eos_token_ids;
  config.suppressed_token_ids = token_ids(root, "suppress_tokens", ids);
  for (const char* key : {"bos_token_id", "pad_token_id"}) integer_or(root, key, 0, ids);
  if (root.has("do_sample")) config.do_sample = root.boolean("do_sample");
  if (root.has("temperature")) config.temperature = positive_number(root, "temperature");
  config.top_k = integer_or(root, "top_k", 50, {0, Range{}.highest});
  if (root.has("top_p")) {
    config.top_p = root.number("top_p");
    if (!(config.top_p > 0 && config.top_p <= 1)) {
      root.refuse("top_p", "a number above 0, at most 1");
    }
  }
  std::vector<TokenId> distinct = config.suppressed_token_ids;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (static_cast<std::int64_t>(distinct.size()) >= model.text.vocab_size) {
    root.refuse("suppress_tokens", "an array that leaves at least one token to sample");
  }
  return config;
}

}  // namespace captiond
