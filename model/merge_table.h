#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "model/token.h"
#include "model/tokenizer_json.h"
#include "model/vocabulary.h"

namespace captiond {

// Which two neighbouring tokens become one, and which pair goes first: the lower the rank, the
// earlier. Immutable.
class MergeTable {
 public:
  static constexpr std::uint32_t kNoMerge = UINT32_MAX;

  // Where a pair stands twice, its last rank counts, as in Hugging Face `tokenizers`. Throws
  // CheckpointError for merges of tokens, or to tokens, that the model does not have.
  MergeTable(const TokenizerJson& json, const Vocabulary& vocabulary,
             const std::filesystem::path& file);

  // The rank of a pair, kNoMerge if it never merges.
  std::uint32_t rank(TokenId left, TokenId right) const;
  // What the merge of `rank` makes.
  TokenId merged(std::uint32_t rank) const { return merged_[rank]; }
  std::size_t size() const { return merged_.size(); }

  // False if no merge ever joins a token that ends in the character `left` with one that begins
  // with `right`, so that a text may be cut between them without changing its tokens. Both are ids
  // of single-character tokens.
  bool may_join(TokenId left, TokenId right) const;

 private:
  // Two ids as one key of an open-addressing table whose size is a power of two.
  struct PairMap {
    void reserve(std::size_t pairs);
    std::uint32_t find(std::uint64_t pair) const;
    void set(std::uint64_t pair, std::uint32_t value);
    std::size_t slot_of(std::uint64_t pair) const;

    std::vector<std::uint64_t> pairs;
    std::vector<std::uint32_t> values;
    int shift = 63;
  };

  PairMap ranks_;
  PairMap junctions_;  // (last character of left, first character of right) of every merge
  std::vector<TokenId> merged_;
};

}  // namespace captiond
