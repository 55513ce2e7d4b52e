#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace captiond::test {

// config.json of google/gemma-4-12B-it as far as reference model.md section 1 tells it.
inline nlohmann::json published_config() {
  std::vector<std::string> layer_types(48, "sliding_attention");
  for (std::size_t i = 5; i < 48; i += 6) layer_types[i] = "full_attention";
  nlohmann::json config = nlohmann::json::parse(R"({
    "architectures": ["Gemma4UnifiedForConditionalGeneration"],
    "audio_config": {
      "audio_embed_dim": 640, "audio_samples_per_token": 640, "hidden_size": 640,
      "initializer_range": 0.02, "model_type": "gemma4_unified_audio", "output_proj_dims": 640,
      "rms_norm_eps": 1e-06
    },
    "audio_token_id": 258881,
    "boa_token_id": 256000,
    "boi_token_id": 255999,
    "dtype": "bfloat16",
    "eoa_token_index": 258883,
    "eoi_token_id": 258882,
    "eos_token_id": [1, 106],
    "image_token_id": 258880,
    "initializer_range": 0.02,
    "model_type": "gemma4_unified",
    "text_config": {
      "attention_bias": false, "attention_dropout": 0.0, "attention_k_eq_v": true,
      "bos_token_id": 2, "dtype": "bfloat16", "enable_moe_block": false, "eos_token_id": 1,
      "final_logit_softcapping": 30.0, "global_head_dim": 512, "head_dim": 256,
      "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 3840,
      "hidden_size_per_layer_input": 0, "initializer_range": 0.02, "intermediate_size": 15360,
      "max_position_embeddings": 262144, "model_type": "gemma4_unified_text",
      "num_attention_heads": 16, "num_global_key_value_heads": 1, "num_hidden_layers": 48,
      "num_key_value_heads": 8, "num_kv_shared_layers": 0, "pad_token_id": 0,
      "rms_norm_eps": 1e-06,
      "rope_parameters": {
        "full_attention": {
          "partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"
        },
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}
      },
      "sliding_window": 1024, "tie_word_embeddings": true,
      "use_bidirectional_attention": "vision", "use_cache": true, "use_double_wide_mlp": false,
      "vocab_size": 262144, "vocab_size_per_layer_input": 262144
    },
    "tie_word_embeddings": true,
    "transformers_version": "5.10.0.dev0",
    "video_token_id": 258884,
    "vision_config": {
      "initializer_range": 0.02, "mm_embed_dim": 3840, "mm_posemb_size": 1120,
      "model_patch_size": 48, "model_type": "gemma4_unified_vision", "num_soft_tokens": 280,
      "output_proj_dims": 3840, "patch_size": 16, "pooling_kernel_size": 3, "rms_norm_eps": 1e-06
    }
  })");
  config["text_config"]["layer_types"] = layer_types;
  return config;
}

}  // namespace captiond::test
