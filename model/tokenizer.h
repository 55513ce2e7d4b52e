#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/token.h"

namespace captiond {

// Byte-pair encoding of a Gemma `tokenizer.json` (reference model.md section 6). Immutable and safe
// from any thread. Ids equal those of Hugging Face `tokenizers` for every input.
class Tokenizer {
 public:
  // Throws CheckpointError: one sentence naming the file, the key, expected and found.
  static std::shared_ptr<const Tokenizer> open(const std::filesystem::path& tokenizer_json);
  static std::shared_ptr<const Tokenizer> parse(std::string_view json,
                                                const std::filesystem::path& file);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ids of `text`, special tokens recognised, no <bos> added. Invalid UTF-8 is first replaced as
  // Unicode recommends (one U+FFFD per maximal ill-formed subsequence). Linear in practice: the
  // worst text, one with no place where tokens end for sure, takes n log n.
  std::vector<TokenId> encode(std::string_view text) const;

  // As encode(), for text from outside (speech, rules, tool results): never gives the id of a
  // special token (but <unk>) or of a marker of the chat format (chat_markers.h); where `text`
  // spells one, it becomes ordinary tokens of the same letters. Equals `tokenizers` with
  // encode_special_tokens, which however lets special tokens through where model.ignore_merges is
  // true.
  std::vector<TokenId> encode_plain(std::string_view text) const;

  // Text of `ids`; special tokens are left out unless `keep_special`, ids without a token always.
  // A run of byte tokens that is not UTF-8 as a whole becomes one U+FFFD a byte.
  std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  // The id of an exact token string such as "<turn|>"; nullopt if there is none.
  std::optional<TokenId> find(std::string_view token) const;
  // The string of `id` as in the file, "▁" for space; empty for an id without a token: beyond
  // size(), or the loser of a string that the file gives to two ids.
  std::string_view token(TokenId id) const;
  bool contains(TokenId id) const;  // whether `id` has a token
  std::size_t size() const;
  // False for ids without a token.
  bool is_special(TokenId id) const;

 private:
  struct Tables;
  explicit Tokenizer(std::unique_ptr<const Tables> tables);
  std::unique_ptr<const Tables> tables_;
};

}  // namespace captiond
