#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/string_pool.h"
#include "model/token.h"

namespace captiond {

// An entry of `added_tokens`: a string that is cut out of the text before byte pairs are merged.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;     // left out of decoded text, never made from plain text
  bool normalized = false;  // matched after " " has become "▁" instead of before
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // takes the white space after it along
};

// What a tokenizer.json says, as it says it: types are checked, names and ids are not yet compared
// with each other.
struct TokenizerJson {
  StringPool tokens;              // the keys of model.vocab in the order of the file
  std::vector<std::int64_t> ids;  // their values, one per token
  StringPool merge_parts;         // left and right of each merge in turn, lowest rank first
  std::vector<AddedToken> added_tokens;
  std::optional<std::string> unknown_token;
  bool fuse_unknown = false;
  bool byte_fallback = false;
  bool ignore_merges = false;

  std::size_t merges() const { return merge_parts.size() / 2; }
};

// Parses `json`, the content of `file` (used in messages only). Accepts what Gemma's tokenizer.json
// holds (reference model.md section 6) and refuses any other normaliser, pre-tokeniser, model,
// decoder, truncation or padding, and any key that it does not know, since each would give other
// ids. `post_processor` is accepted and not used: the prompt format writes <bos> itself.
// Throws CheckpointError.
TokenizerJson parse_tokenizer_json(std::string_view json, const std::filesystem::path& file);

}  // namespace captiond
