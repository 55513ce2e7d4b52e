#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "model/dtype.h"
#include "model/token.h"

namespace captiond {

enum class LayerType { kSliding, kFull };

// Rotary embedding of one layer type. inv_freq[i] = theta^(-2i / head_dim) / factor for
// i < rotary_pairs, else 0; pairs are (i, i + head_dim / 2).
struct RopeConfig {
  double theta = 10000.0;
  double factor = 1.0;
  std::int64_t rotary_pairs = 0;  // head_dim / 2 for "default", fewer for "proportional"
};

// Heads and rotary embedding of one layer type.
struct AttentionConfig {
  std::int64_t head_dim = 0;
  std::int64_t kv_heads = 0;  // query head j reads KV head j / (heads / kv_heads)
  bool value_is_key = false;  // no v_proj: V comes from the raw k_proj output
  RopeConfig rope;
};

struct TextConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t heads = 0;           // query heads, both layer types
  std::int64_t sliding_window = 0;  // key j is visible to query i iff i - window < j <= i
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  std::optional<double> final_logit_softcapping;
  std::vector<LayerType> layer_types;  // one per layer; the last is kFull
  AttentionConfig sliding;
  AttentionConfig full;
  bool vision_blocks_bidirectional = false;  // use_bidirectional_attention == "vision"
  TokenId pad_token_id = 0;

  const AttentionConfig& attention(LayerType type) const {
    return type == LayerType::kSliding ? sliding : full;
  }
};

struct VisionConfig {
  std::int64_t patch_size = 48;     // model patch: patch_size * pooling_kernel_size pixels a side
  std::int64_t mm_embed_dim = 0;    // width of the patch embedder
  std::int64_t mm_posemb_size = 0;  // rows of the position table, for x and y each
  std::int64_t default_soft_tokens = 280;
  double rms_norm_eps = 1e-6;
};

struct AudioConfig {
  std::int64_t samples_per_token = 640;  // at 16 kHz, mono
  double rms_norm_eps = 1e-6;
};

// config.json of a `gemma4_unified` checkpoint. Source: reference model.md section 1.
//
// The token ids of a modality that the checkpoint has are inside of the vocabulary and distinct.
// Those of one that it lacks stand as the file has them: -1 for null, or even beyond the
// vocabulary.
struct ModelConfig {
  std::optional<Dtype> dtype;  // of every tensor; nullopt: config.json does not say
  TextConfig text;
  std::optional<VisionConfig> vision;  // nullopt: the checkpoint cannot see
  std::optional<AudioConfig> audio;    // nullopt: the checkpoint cannot hear
  TokenId image_token_id = 258880;
  TokenId audio_token_id = 258881;
  TokenId video_token_id = 258884;
  TokenId boi_token_id = 255999;
  TokenId eoi_token_id = 258882;
  TokenId boa_token_id = 256000;
  TokenId eoa_token_id = 258883;
  std::vector<TokenId> eos_token_ids;  // the root's, else the text config's
};

// generation_config.json. What a missing file means is parse_generation_config("{}").
struct GenerationConfig {
  std::vector<TokenId> eos_token_ids;         // generation stops at any of these
  std::vector<TokenId> suppressed_token_ids;  // never sampled
  bool do_sample = false;
  double temperature = 1.0;
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1.0;      // 1: off
};

// Parses `text`, the content of the file named `file` (used in messages only). Every key that the
// engine depends on is checked for type, range and consistency. Throws CheckpointError.
ModelConfig parse_model_config(std::string_view text, const std::filesystem::path& file);

// `config` gives the ids that are valid and the eos ids of config.json, used when the generation
// config names none. Absent keys mean what they mean to transformers (top_k: 50). A key that asks
// for something else than the engine does (beams, penalties) is refused. Throws CheckpointError.
GenerationConfig parse_generation_config(std::string_view text, const std::filesystem::path& file,
                                         const ModelConfig& config);

}  // namespace captiond
