#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/token.h"

namespace captiond {

// Finds added tokens in a text: the leftmost, of several that start there the longest. Immutable.
class AddedTokenMatcher {
 public:
  struct Pattern {
    std::string content;
    TokenId id = 0;
    bool lstrip = false;
    bool rstrip = false;
  };
  struct Match {
    const Pattern* pattern = nullptr;  // nullptr: nothing found
    std::size_t begin = 0;             // of the string itself, without stripped white space
    std::size_t end = 0;
  };

  // Contents must not be empty and must differ.
  explicit AddedTokenMatcher(std::vector<Pattern> patterns);
  AddedTokenMatcher(const AddedTokenMatcher&) = delete;  // nodes and matches point to patterns
  AddedTokenMatcher& operator=(const AddedTokenMatcher&) = delete;

  // The first match at or after `from`. Each call takes time linear in the distance to the match,
  // times the length of the longest beginning of a pattern found on the way.
  Match find(std::string_view text, std::size_t from) const;

  bool empty() const { return patterns_.empty(); }

 private:
  static constexpr std::int32_t kNone = -1;

  // One beginning of a pattern. Children are chained: most nodes have one.
  struct Node {
    std::int32_t pattern = kNone;  // that ends here
    std::int32_t child = kNone;
    std::int32_t sibling = kNone;
    std::uint8_t byte = 0;
  };

  void insert(std::int32_t pattern);
  std::int32_t child_of(std::int32_t node, std::uint8_t byte) const;

  std::vector<Pattern> patterns_;
  std::vector<Node> nodes_;
  std::array<std::int32_t, 256> roots_;  // node of each first byte
};

}  // namespace captiond
