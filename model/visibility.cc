#include "model/visibility.h"

#include <algorithm>
#include <limits>

namespace captiond {

Visibility::Visibility(const TextConfig& text, VisionMask vision_mask, KvGroup group)
    : window_(group == KvGroup::kSliding ? static_cast<std::size_t>(text.sliding_window)
                                         : std::numeric_limits<std::size_t>::max()),
      both_ways_(text.vision_blocks_bidirectional &&
                 (group == KvGroup::kSliding || vision_mask == VisionMask::kFullBidirectional)),
      whole_block_(vision_mask == VisionMask::kFullBidirectional) {}

std::size_t Visibility::first_key(const StepSlice& slice) const {
  const std::size_t first = slice.first_position + 1 - std::min(window_, slice.first_position + 1);
  const bool in_block = slice.block_first < slice.block_end;
  return both_ways_ && whole_block_ && in_block ? std::min(first, slice.block_first) : first;
}

Visibility::KeyRun Visibility::visible_run(const StepSlice& slice, std::size_t query) const {
  KeyRun run{.first = query + 1 - std::min(window_, query + 1), .end = query + 1};
  if (both_ways_ && query >= slice.block_first && query < slice.block_end) {
    if (whole_block_) run.first = std::min(run.first, slice.block_first);
    const std::size_t end = std::min(slice.block_end, slice.first_position + slice.count);
    run.end = std::max(run.end, end);
  }
  return run;
}

bool Visibility::visible(const StepSlice& slice, std::size_t query, std::size_t key) const {
  const bool same_block = both_ways_ && key >= slice.block_first && key < slice.block_end;
  const bool in_window = query < key || query - key < window_;
  return (same_block && whole_block_) || ((key <= query || same_block) && in_window);
}

}  // namespace captiond
