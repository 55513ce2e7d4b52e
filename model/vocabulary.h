#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "model/string_pool.h"
#include "model/token.h"
#include "model/tokenizer_json.h"

namespace captiond {

// Tokens and ids, both ways. Immutable. Ids are 0 to size() - 1 without holes: first those of the
// byte-pair model, then the added tokens that the model does not have.
class Vocabulary {
 public:
  // Where a string stands twice in model.vocab, its last id wins, as in Hugging Face `tokenizers`;
  // the other id then has no token. Throws CheckpointError for ids that are given twice or leave
  // holes, and for added tokens whose id is not the one that `tokenizers` would give them.
  Vocabulary(const TokenizerJson& json, const std::filesystem::path& file);

  std::optional<TokenId> find(std::string_view token) const;
  // As find(), in the byte-pair model's own part only.
  std::optional<TokenId> find_in_model(std::string_view token) const;
  // Empty for an id without a token.
  std::string_view token(TokenId id) const;
  // Whether `id` has a token.
  bool contains(TokenId id) const;
  std::size_t size() const { return texts_.size(); }
  std::size_t model_size() const { return model_size_; }

 private:
  void add_model_tokens(const TokenizerJson& json, const std::filesystem::path& file);
  void add_added_tokens(const TokenizerJson& json, const std::filesystem::path& file);
  // The slot of `token`, or the empty one where it belongs.
  std::size_t slot_of(std::string_view token) const;
  std::string_view entry_text(std::int32_t entry) const;

  StringPool entries_;               // tokens in the order of the file, then the added ones
  std::vector<TokenId> entry_ids_;   // per entry
  std::vector<std::int32_t> texts_;  // entry of each id; -1: an id without a token
  std::vector<std::int32_t> slots_;  // open addressing by text: entry, or -1; a power of two
  std::size_t model_size_ = 0;
};

}  // namespace captiond
