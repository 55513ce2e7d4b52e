#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace captiond {

// Keys and values are kept in pages of kPagePositions positions. One page holds the rows of all
// layers of a group: sliding layers forget old positions and full layers never do, so each kind has
// its own pages.
enum class KvGroup : std::size_t { kSliding = 0, kFull = 1 };
inline constexpr std::array<KvGroup, 2> kKvGroups = {KvGroup::kSliding, KvGroup::kFull};
inline constexpr std::size_t kKvGroupCount = kKvGroups.size();

inline constexpr std::size_t kPagePositions = 16;

// A page of one group's pool: its rows are slots id * kPagePositions and the following.
using PageId = std::int32_t;
inline constexpr PageId kNoPage = -1;

// All rows of page `from` are to be copied to page `to` of the same group.
struct PageCopy {
  KvGroup group = KvGroup::kFull;
  PageId from = kNoPage;
  PageId to = kNoPage;
};

}  // namespace captiond
