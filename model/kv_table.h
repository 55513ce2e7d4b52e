#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/kv_page.h"
#include "model/kv_pool.h"

namespace captiond {

// The pages of one sequence in one group: entry i holds positions i * kPagePositions and the
// following. Pages may be shared with other tables; they are copied before they are written.
// Engine thread only. Gives its pages back when destroyed; `pool` must outlive it.
class KvTable {
 public:
  // `pool` may be null: the model has no layers of this group, and the table stays empty.
  KvTable(KvGroup group, KvPool* pool);
  ~KvTable();
  KvTable(const KvTable&) = delete;
  KvTable& operator=(const KvTable&) = delete;

  // Shares all pages of `other`, which is of the same group and pool; this table is empty before.
  void share(const KvTable& other);

  // The same while the last page of `other` is being written up to `length` in the step that is
  // planned: until close(), this table writes behind that into the page although it is shared,
  // since a copy would come too early. `other` must not write the page in the same step any more;
  // later it copies it first, as long as it is shared.
  void share_unfinished(const KvTable& other, std::size_t length);
  void close() { open_ = kNone; }

  // Whether the pool has the pages that reserve(first, end) takes.
  bool has_room(std::size_t first, std::size_t end) const;

  // Makes positions first … end - 1 writable. Pages are acquired; one that is shared is replaced by
  // a new one, and the copy that this calls for is appended to `copies`. has_room()
  // must hold, and `first` must not lie behind a hole or in a released page.
  void reserve(std::size_t first, std::size_t end, std::vector<PageCopy>& copies);

  // Gives back pages that hold only positions >= length.
  void truncate(std::size_t length);

  // Gives back pages that hold only positions < position. Their entries become kNoPage.
  void release_before(std::size_t position);

  void clear();

  // Entry per page, kNoPage where released. Valid until the next change.
  std::span<const PageId> pages() const { return pages_; }

 private:
  const KvGroup group_;
  KvPool* const pool_;
  std::vector<PageId> pages_;
  std::size_t released_ = 0;  // leading entries that are kNoPage
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t open_ = kNone;  // entry of the page that is written although it is shared
};

}  // namespace captiond
