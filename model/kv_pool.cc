#include "model/kv_pool.h"

#include "model/check.h"

namespace captiond {

KvPool::KvPool(std::size_t pages) : references_(pages, 0) {
  free_.reserve(pages);
  for (std::size_t page = pages; page > 0; --page) free_.push_back(static_cast<PageId>(page - 1));
}

std::uint32_t& KvPool::references(PageId page) {
  check(page >= 0 && static_cast<std::size_t>(page) < references_.size(),
        "a KV page belongs to its pool");
  return references_[static_cast<std::size_t>(page)];
}

PageId KvPool::acquire() {
  check(!free_.empty(), "a KV page is asked for only when one is free");
  const PageId page = free_.back();
  free_.pop_back();
  references(page) = 1;
  return page;
}

void KvPool::add_reference(PageId page) {
  check(references(page) > 0, "only a held KV page is shared");
  ++references(page);
}

void KvPool::release(PageId page) {
  check(references(page) > 0, "only a held KV page is released");
  if (--references(page) == 0) free_.push_back(page);
}

bool KvPool::shared(PageId page) const {
  check(page >= 0 && static_cast<std::size_t>(page) < references_.size(),
        "a KV page belongs to its pool");
  return references_[static_cast<std::size_t>(page)] > 1;
}

}  // namespace captiond
