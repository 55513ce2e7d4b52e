#include "model/kv_table.h"

#include <algorithm>

#include "model/check.h"

namespace captiond {
namespace {

std::size_t pages_for(std::size_t positions) {
  return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

KvTable::KvTable(KvGroup group, KvPool* pool) : group_(group), pool_(pool) {}

KvTable::~KvTable() { clear(); }

void KvTable::share(const KvTable& other) {
  check(pages_.empty(), "pages are shared with an empty table");
  check(group_ == other.group_ && pool_ == other.pool_, "pages are shared within one pool");
  pages_ = other.pages_;
  released_ = other.released_;
  for (std::size_t i = released_; i < pages_.size(); ++i) pool_->add_reference(pages_[i]);
}

void KvTable::share_unfinished(const KvTable& other, std::size_t length) {
  share(other);
  if (pool_ != nullptr && length % kPagePositions != 0) open_ = length / kPagePositions;
}

bool KvTable::has_room(std::size_t first, std::size_t end) const {
  if (pool_ == nullptr || end <= first) return true;
  std::size_t needed = 0;
  for (std::size_t i = first / kPagePositions; i < pages_for(end); ++i) {
    if (i >= pages_.size() || (i != open_ && pool_->shared(pages_[i]))) ++needed;
  }
  return needed <= pool_->free();
}

void KvTable::reserve(std::size_t first, std::size_t end, std::vector<PageCopy>& copies) {
  if (pool_ == nullptr || end <= first) return;
  const std::size_t begin = first / kPagePositions;
  check(begin >= released_, "a released KV page is not written again");
  check(begin <= pages_.size(), "KV pages are reserved without a hole");
  for (std::size_t i = begin; i < pages_for(end); ++i) {
    if (i == pages_.size()) {
      pages_.push_back(pool_->acquire());
    } else if (i != open_ && pool_->shared(pages_[i])) {
      const PageId copy = pool_->acquire();
      copies.push_back({.group = group_, .from = pages_[i], .to = copy});
      pool_->release(pages_[i]);
      pages_[i] = copy;
    }
  }
}

void KvTable::truncate(std::size_t length) {
  const std::size_t keep = pages_for(length);
  while (pages_.size() > keep) {
    if (pages_.size() > released_) {
      pool_->release(pages_.back());
    } else {
      --released_;
    }
    pages_.pop_back();
  }
}

void KvTable::release_before(std::size_t position) {
  const std::size_t end = std::min(position / kPagePositions, pages_.size());
  for (; released_ < end; ++released_) {
    pool_->release(pages_[released_]);
    pages_[released_] = kNoPage;
  }
}

void KvTable::clear() { truncate(0); }

}  // namespace captiond
