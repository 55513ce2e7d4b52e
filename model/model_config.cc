#include "model/model_config.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/audio_patches.h"
#include "model/json_object.h"
#include "model/text_config.h"
#include "model/vision_patches.h"

namespace captiond {
namespace {

double eps_of(const JsonObject& object) {
  return object.has("rms_norm_eps") ? object.positive_number("rms_norm_eps") : 1e-6;
}

VisionConfig parse_vision(const JsonObject& vision) {
  vision.require("model_type", "gemma4_unified_vision");
  VisionConfig config;
  const std::int64_t pooling = vision.integer_or("pooling_kernel_size", 3, {1, 4096});
  config.patch_size = vision.integer_or("patch_size", 16, {1, 4096}) * pooling;
  constexpr auto kSide = static_cast<std::int64_t>(VisionPatches::kSide);
  if (config.patch_size != kSide) {
    vision.refuse("patch_size", std::to_string(kSide) +
                                    " when multiplied with pooling_kernel_size, which is " +
                                    std::to_string(pooling));
  }
  vision.require("model_patch_size", kSide);
  config.mm_embed_dim = vision.integer("mm_embed_dim");
  // The layer between them is a norm without weights: both are one width.
  if (vision.integer_or("output_proj_dims", 3840) != config.mm_embed_dim) {
    vision.refuse("output_proj_dims", "mm_embed_dim, " + std::to_string(config.mm_embed_dim));
  }
  config.mm_posemb_size = vision.integer("mm_posemb_size");
  config.default_soft_tokens = vision.integer_or("num_soft_tokens", 280);
  constexpr std::array<std::int64_t, 5> kBudgets{70, 140, 280, 560, 1120};
  if (std::find(kBudgets.begin(), kBudgets.end(), config.default_soft_tokens) == kBudgets.end()) {
    vision.refuse("num_soft_tokens", "70, 140, 280, 560 or 1120");
  }
  config.rms_norm_eps = eps_of(vision);
  return config;
}

AudioConfig parse_audio(const JsonObject& audio) {
  audio.require("model_type", "gemma4_unified_audio");
  constexpr auto kSamples = static_cast<std::int64_t>(AudioPatches::kSamplesPerPatch);
  // Four names for the one width of an audio soft token.
  audio.require("audio_embed_dim", kSamples);
  audio.require("audio_samples_per_token", kSamples);
  audio.require("hidden_size", kSamples);
  audio.require("output_proj_dims", kSamples);
  AudioConfig config;
  config.samples_per_token = kSamples;
  config.rms_norm_eps = eps_of(audio);
  return config;
}

struct SpecialId {
  const char* key;
  TokenId* id;  // holds the default
};

// Reads the special ids of one modality into `ids`. A modality that the checkpoint lacks never uses
// its ids, and a small text checkpoint keeps transformers' defaults beyond its vocabulary, so these
// are only checked for type.

void parse_special_ids(const JsonObject& root, const std::vector<SpecialId>& ids, bool used,
                       const TextConfig& text) {
  const IntegerRange range =
      used ? IntegerRange{0, text.vocab_size - 1} : IntegerRange{0, IntegerRange{}.highest};
  for (const SpecialId& special : ids) {
    if (root.has(special.key)) {
      *special.id = static_cast<TokenId>(root.integer(special.key, range));
    } else if (used && (root.names(special.key) || *special.id > range.highest)) {
      root.refuse(special.key, "an integer from 0 to " + std::to_string(range.highest));
    } else if (root.names(special.key)) {
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
  std::optional<Dtype> dtype;
  // `torch_dtype` is the older name of the same key.
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!root.has(key)) continue;
    const std::string name = root.string(key);
    if (name != "bfloat16" && name != "float32") root.refuse(key, "\"bfloat16\" or \"float32\"");
    const Dtype here = name == "float32" ? Dtype::kFloat32 : Dtype::kBfloat16;
    if (dtype && *dtype != here) root.refuse(key, "the same as dtype");
    dtype = here;
  }
  return dtype;
}

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::filesystem::path& file) {
  const JsonObject root = JsonObject::parse(text, file);
  if (root.string("model_type") != "gemma4_unified") {
    root.refuse("model_type", "\"gemma4_unified\"");
  }
  root.require("tie_word_embeddings", true);
  root.require("quantization_config", nullptr);
  ModelConfig config;
  config.dtype = parse_dtype(root);
  const JsonObject text_object = root.object("text_config");
  config.text = parse_text_config(text_object);
  if (root.has("vision_config")) config.vision = parse_vision(root.object("vision_config"));
  if (root.has("audio_config")) config.audio = parse_audio(root.object("audio_config"));
  parse_special_ids(root, config);
  const JsonObject& eos = root.has("eos_token_id") ? root : text_object;
  for (const std::int64_t id :
       eos.integers_or_one("eos_token_id", {0, config.text.vocab_size - 1})) {
    config.eos_token_ids.push_back(static_cast<TokenId>(id));
  }
  return config;
}

}  // namespace captiond
