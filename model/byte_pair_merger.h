#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/merge_table.h"
#include "model/token.h"

namespace captiond {

// Merges the pairs of one piece of text after another: always the pair of the lowest rank, of equal
// ones the leftmost. Time is n log n in the length of a piece. Keeps its working memory; one owner.
class BytePairMerger {
 public:
  // `merges` must outlive the merger.
  explicit BytePairMerger(const MergeTable& merges) : merges_(merges) {}

  // Appends what `symbols`, the single characters of a piece, become.
  void merge(std::span<const TokenId> symbols, std::vector<TokenId>& out);

 private:
  // A token of the piece at the place of its first symbol; the places that it took over are dead.
  struct Node {
    TokenId id;  // kDead: taken over by a node before it
    std::uint32_t previous;
    std::uint32_t next;
  };

  void merge_short(std::span<const TokenId> symbols, std::vector<TokenId>& out);
  void merge_long(std::span<const TokenId> symbols, std::vector<TokenId>& out);
  void push_pair(std::uint32_t left, std::uint32_t right);

  const MergeTable& merges_;
  std::vector<TokenId> ids_;          // merge_short
  std::vector<std::uint32_t> ranks_;  // merge_short: of each token with the one after it
  std::vector<Node> nodes_;           // merge_long
  std::vector<std::uint64_t> queue_;  // merge_long: heap of (rank << 32 | place), lowest first
};

}  // namespace captiond
