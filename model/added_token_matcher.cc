#include "model/added_token_matcher.h"

#include <utility>

namespace captiond {

AddedTokenMatcher::AddedTokenMatcher(std::vector<Pattern> patterns)
    : patterns_(std::move(patterns)) {
  roots_.fill(kNone);
  for (std::size_t i = 0; i < patterns_.size(); ++i) insert(static_cast<std::int32_t>(i));
}

void AddedTokenMatcher::insert(std::int32_t pattern) {
  const std::string& content = patterns_[static_cast<std::size_t>(pattern)].content;
  std::int32_t node = kNone;
  for (const char c : content) {
    const auto byte = static_cast<std::uint8_t>(c);
    std::int32_t next = node == kNone ? roots_[byte] : child_of(node, byte);
    if (next == kNone) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({kNone, kNone, kNone, byte});
      if (node == kNone) {
        roots_[byte] = next;
      } else {
        std::int32_t& first = nodes_[static_cast<std::size_t>(node)].child;
        nodes_.back().sibling = first;
        first = next;
      }
    }
    node = next;
  }
  nodes_[static_cast<std::size_t>(node)].pattern = pattern;
}

std::int32_t AddedTokenMatcher::child_of(std::int32_t node, std::uint8_t byte) const {
  std::int32_t child = nodes_[static_cast<std::size_t>(node)].child;
  while (child != kNone && nodes_[static_cast<std::size_t>(child)].byte != byte) {
    child = nodes_[static_cast<std::size_t>(child)].sibling;
  }
  return child;
}

AddedTokenMatcher::Match AddedTokenMatcher::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    Match match;
    std::int32_t node = roots_[static_cast<std::uint8_t>(text[begin])];
    for (std::size_t end = begin + 1; node != kNone; ++end) {
      const std::int32_t pattern = nodes_[static_cast<std::size_t>(node)].pattern;
      if (pattern != kNone) match = {&patterns_[static_cast<std::size_t>(pattern)], begin, end};
      if (end == text.size()) break;
      node = child_of(node, static_cast<std::uint8_t>(text[end]));
    }
    if (match.pattern != nullptr) return match;
  }
  return {nullptr, text.size(), text.size()};
}

}  // namespace captiond
