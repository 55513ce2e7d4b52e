#include "model/context_ledger.h"

#include <algorithm>

namespace captiond {

std::size_t truncate_limit(std::size_t length_max, std::size_t window) {
  return length_max <= window + kTruncatePositions ? 0 : length_max - kTruncatePositions;
}

void ContextLedger::append(std::size_t positions) {
  length_ += positions;
  length_max_ = std::max(length_max_, length_);
}

void ContextLedger::append_picture(std::size_t positions, std::uint64_t request) {
  pictures_.push_back({.first = length_, .end = length_ + positions, .request = request});
  append(positions);
}

void ContextLedger::note_generated(std::uint64_t request, std::size_t tokens) {
  length_max_ = std::max(length_max_, length_ + tokens);
  if (request < last_truncate_) return;  // the truncate came later and said the length
  length_ += tokens;
  for (Picture& picture : pictures_) {
    if (picture.request < request) continue;
    picture.first += tokens;
    picture.end += tokens;
  }
}

std::size_t ContextLedger::truncate_limit(std::size_t window) const {
  return captiond::truncate_limit(length_max_, window);
}

std::optional<ContextLedger::Picture> ContextLedger::picture_across(std::size_t length) const {
  for (const Picture& picture : pictures_) {
    if (picture.first < length && length < picture.end) return picture;
  }
  return std::nullopt;
}

void ContextLedger::truncate(std::size_t length, std::uint64_t request) {
  length_ = length;
  if (length == 0) length_max_ = 0;
  last_truncate_ = request;
  std::erase_if(pictures_, [&](const Picture& picture) { return picture.end > length; });
}

}  // namespace captiond
