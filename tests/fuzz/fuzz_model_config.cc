// Bytes as config.json and as generation_config.json: refused with a CheckpointError, or what
// comes out is consistent.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/check.h"
#include "model/checkpoint_error.h"
#include "model/checkpoint_tensors.h"
#include "model/model_config.h"

namespace {

using captiond::check;

void check_error(const captiond::CheckpointError& error) {
  const std::string text = error.what();
  check(text.starts_with("fuzz.json: ") && text.ends_with("."), "an error is a sentence");
  check(text.find('\n') == std::string::npos && text.size() < 2000, "an error is one short line");
}

void check_attention(const captiond::TextConfig& text, const captiond::AttentionConfig& attention) {
  check(text.heads % attention.kv_heads == 0, "query heads share key-value heads evenly");
  check(attention.head_dim > 0 && attention.head_dim % 2 == 0, "head dimensions are even");
  check(attention.rope.rotary_pairs >= 0 && attention.rope.rotary_pairs <= attention.head_dim / 2,
        "no more pairs rotate than there are");
  check(attention.rope.theta > 0 && attention.rope.factor > 0, "ropes are positive");
}

void check_config(const captiond::ModelConfig& config) {
  const captiond::TextConfig& text = config.text;
  check(!text.layer_types.empty(), "there are layers");
  for (const captiond::LayerType type : text.layer_types) {
    check_attention(text, text.attention(type));
  }
  check(text.layer_types.back() == captiond::LayerType::kFull, "the last layer is full");
  check(text.sliding_window >= 1, "the window holds a token");
  if (config.audio) check(config.audio_token_id < text.vocab_size, "ids lie in the vocabulary");
  if (config.vision) check(config.image_token_id < text.vocab_size, "ids lie in the vocabulary");
  for (const auto& tensor : captiond::expected_tensors(config)) {
    for (const std::int64_t dimension : tensor.shape) check(dimension > 0, "tensors are not empty");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  captiond::ModelConfig config;
  config.text.vocab_size = 1000;
  try {
    config = captiond::parse_model_config(text, "fuzz.json");
    check_config(config);
  } catch (const captiond::CheckpointError& error) {
    check_error(error);
  }
  try {
    const auto generation = captiond::parse_generation_config(text, "fuzz.json", config);
    check(generation.temperature > 0, "temperatures are positive");
    check(generation.top_p > 0 && generation.top_p <= 1, "top_p is a probability");
    check(generation.top_k >= 0, "top_k is not negative");
    for (const auto id : generation.suppressed_token_ids) {
      check(id >= 0 && id < config.text.vocab_size, "ids lie in the vocabulary");
    }
  } catch (const captiond::CheckpointError& error) {
    check_error(error);
  }
  return 0;
}
