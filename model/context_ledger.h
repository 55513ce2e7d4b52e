#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace captiond {

// How far back a context can be truncated from the longest length it ever had: sliding layers keep
// the keys of this many positions beyond their window.
inline constexpr std::size_t kTruncatePositions = 512;

// What the owner of a context may know at once, while the work itself is still queued: lengths, the
// places of pictures. Requests are numbered from 1 in the order they were made.
// No lock of its own: guarded by the engine's mutex.
class ContextLedger {
 public:
  std::size_t length() const { return length_; }
  std::uint64_t next_request() { return ++requests_; }

  void append(std::size_t positions);
  void append_picture(std::size_t positions, std::uint64_t request);

  // Generation `request` added `tokens` positions; what was appended meanwhile moves behind them.
  void note_generated(std::uint64_t request, std::size_t tokens);

  // The shortest length that truncate() takes besides 0, given the sliding window.
  std::size_t truncate_limit(std::size_t window) const;

  struct Picture {
    std::size_t first = 0;
    std::size_t end = 0;
    std::uint64_t request = 0;
  };
  // The picture that has positions on both sides of `length`; nullopt: none.
  std::optional<Picture> picture_across(std::size_t length) const;

  void truncate(std::size_t length, std::uint64_t request);

 private:
  std::size_t length_ = 0;
  std::size_t length_max_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t last_truncate_ = 0;
  std::vector<Picture> pictures_;
};

// The oldest position that a context whose greatest length was `length_max` can be truncated to.
std::size_t truncate_limit(std::size_t length_max, std::size_t window);

}  // namespace captiond
