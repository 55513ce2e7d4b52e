#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/json_object.h"
#include "model/model_config.h"

namespace captiond {
namespace {

// Other ways to choose a token than greedy, temperature, top-k and top-p; each only with the value
// that switches it off. Lengths (max_length, max_new_tokens) are the caller's business here.
void require_plain_sampling(const JsonObject& root) {
  root.require("num_beams", 1);
  root.require("num_beam_groups", 1);
  root.require("penalty_alpha", nullptr);
  root.require("repetition_penalty", 1.0);
  root.require("encoder_repetition_penalty", 1.0);
  root.require("no_repeat_ngram_size", 0);
  root.require("encoder_no_repeat_ngram_size", 0);
  root.require("min_length", 0);
  root.require("min_new_tokens", 0);
  root.require("min_p", 0.0);
  root.require("top_h", nullptr);
  root.require("typical_p", 1.0);
  root.require("epsilon_cutoff", 0.0);
  root.require("eta_cutoff", 0.0);
  root.require("guidance_scale", 1.0);
  root.require("bad_words_ids", nullptr);
  root.require("sequence_bias", nullptr);
  root.require("begin_suppress_tokens", nullptr);
  root.require("forced_bos_token_id", nullptr);
  root.require("forced_eos_token_id", nullptr);
  root.require("exponential_decay_length_penalty", nullptr);
  root.require("watermarking_config", nullptr);
  root.require("stop_strings", nullptr);
}

std::vector<TokenId> token_ids(const JsonObject& root, std::string_view key, IntegerRange ids) {
  std::vector<TokenId> result;
  for (const std::int64_t id : root.integers_or_one(key, ids)) {
    result.push_back(static_cast<TokenId>(id));
  }
  return result;
}

}  // namespace

GenerationConfig parse_generation_config(std::string_view text, const std::filesystem::path& file,
                                         const ModelConfig& model) {
  const JsonObject root = JsonObject::parse(text, file);
  require_plain_sampling(root);
  const IntegerRange ids{0, model.text.vocab_size - 1};
  GenerationConfig config;
  config.eos_token_ids =
      root.has("eos_token_id") ? token_ids(root, "eos_token_id", ids) : model.eos_token_ids;
  config.suppressed_token_ids = token_ids(root, "suppress_tokens", ids);
  for (const char* key : {"bos_token_id", "pad_token_id"}) root.integer_or(key, 0, ids);  // checked
  if (root.has("do_sample")) config.do_sample = root.boolean("do_sample");
  if (root.has("temperature")) config.temperature = root.positive_number("temperature");
  config.top_k = root.integer_or("top_k", 50, {0, IntegerRange{}.highest});
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
