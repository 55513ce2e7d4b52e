#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/kv_page.h"

namespace captiond {

// Who holds which page of one group: reference counts and a free list, no storage of its own.
// The page released last is given out first, so that a small load touches little memory.
// Engine thread only.
class KvPool {
 public:
  explicit KvPool(std::size_t pages);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  // A page with one reference; asking when free() is 0 is a programmer error.
  PageId acquire();
  void add_reference(PageId page);
  void release(PageId page);
  bool shared(PageId page) const;  // more than one reference

  std::size_t free() const { return free_.size(); }
  std::size_t total() const { return references_.size(); }
  std::size_t used() const { return total() - free(); }

 private:
  std::uint32_t& references(PageId page);

  std::vector<std::uint32_t> references_;  // by page
  std::vector<PageId> free_;               // a stack
};

}  // namespace captiond
