#pragma once

#include "model/json_object.h"
#include "model/model_config.h"

namespace captiond {

// The text_config of a `gemma4_unified` config.json, in Google's published form (global_head_dim,
// num_global_key_value_heads) or with the per_layer_config that transformers 5.17 writes. Throws
// CheckpointError.
TextConfig parse_text_config(const JsonObject& text);

}  // namespace captiond
