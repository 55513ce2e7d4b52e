#pragma once

#include <cstddef>
#include <cstdint>

#include "model/kernels/decode_splits.cuh"
#include "model/kernels/page_ring.cuh"
#include "model/kernels/shared_address.cuh"

// The work of decode attention over fp8 pages: all splits of all rows and KV heads in one line, and
// the warp that copies the pages of a block's part of it into a ring in shared memory.

namespace captiond::kernels::paged {

inline constexpr int kAttending = 256;            // threads: two warpgroups
inline constexpr int kWarps = kAttending / 32;    // of which each has the scores of a page
inline constexpr int kThreads = kAttending + 32;  // and a warp that copies
inline constexpr int kPage = kKvPagePositions;
inline constexpr int kTilePages = kWarps;
inline constexpr int kSplitPages = 8;
inline constexpr int kRowsMax = 256;  // of one launch
inline constexpr int kMultiprocessors = 132;
inline constexpr int kRest = 16;  // the second e4m3 has a column of its own, and so a scale
inline constexpr float kWeightScale = 256.0F;  // of weights, which are at most 1

template <int kDim, int kColumns>
struct Shape {
  static constexpr int kHeads = kColumns / 2;
  static constexpr int kGroups = kColumns / 8;     // of eight columns: four heads
  static constexpr unsigned kHalf = kPage * kDim;  // bytes of a page's keys or values
  static constexpr unsigned kSlotBytes = kTilePages * kHalf;
  static constexpr int kBlocksOfMultiprocessor = kDim == 256 && kColumns == 8 ? 2 : 1;
  static constexpr int kSlots = 3;  // of the ring: keys of a tile, its values, keys of the next …
};

// The pages that a row sees any of, and their splits.
struct Splits {
  int first;
  int pages;
  int count;

  __device__ int begin(int split) const { return first + pages * split / count; }
};

__host__ __device__ inline int count_of(int pages) {
  const int wanted = (pages + kSplitPages / 2 - 1) / kSplitPages;
  return wanted < 1 ? 1 : wanted < kAttentionSplitsMax ? wanted : kAttentionSplitsMax;
}
__device__ inline Splits splits_of(const KvRow& row) {
  const int first = row.first_key / kPage;
  if (row.position < 0 || row.end_key <= row.first_key) return {first, 0, 0};
  const int pages = (row.end_key + kPage - 1) / kPage - first;
  return {first, pages, count_of(pages)};
}
struct SplitCount {
  static __device__ int of(const KvRow& row) { return splits_of(row).count; }
};
// Of rows that see at most `keys_max` keys, wherever these begin in a page.
inline int splits_max(int keys_max) { return count_of((keys_max + 2 * kPage - 2) / kPage); }

template <int kDim, int kColumns>
struct Shared {
  alignas(
      128) unsigned char slots[Shape<kDim, kColumns>::kSlots][Shape<kDim, kColumns>::kSlotBytes];
  unsigned char query[kDim / 16][kColumns][16];
  unsigned char weights[kTilePages][kColumns][16];
  // Key and value of a position that is not in its page yet.
  alignas(16) unsigned char fresh[2][kDim];
  float most[kWarps][Shape<kDim, kColumns>::kHeads];   // by warp
  float total[kWarps][Shape<kDim, kColumns>::kHeads];  // by warp
  KvRow rows[kRowsMax];
  int listed[kRowsMax];
  int first[kRowsMax + 1];  // of a row's splits among all splits of one KV head
  std::uint64_t there[Shape<kDim, kColumns>::kSlots];
  std::uint64_t taken[Shape<kDim, kColumns>::kSlots];
  bool last;
};

__device__ __forceinline__ void meet() {  // of the warps that attend
  asm volatile("bar.sync 1, %0;" ::"n"(kAttending) : "memory");
}

// One split of one row and KV head.
struct Item {
  int row;  // of the list
  int kv_head;
  int split;
  int splits;
  int begin;  // pages
  int end;
  bool last;  // of the block's part of the line
  KvRow seen;
};

// The items of a launch, in a line. Made by all threads of the block together.
template <class Memory>
class Line {
 public:
  __device__ Line(Memory& shared, const Attention& work, const int* list, int count, int splits_max)
      : shared_(shared), kv_heads_(work.kv.kv_heads), count_(count) {
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < count; i += kThreads) {
      const int listed = list == nullptr ? i : list[i];
      const KvRow row = work.rows[max(listed, 0)];
      const int splits = listed < 0 ? 0 : splits_of(row).count;
      if (splits > splits_max) __trap();  // keys_max was a lie: nobody would take the rest
      shared.rows[i] = row;
      shared.listed[i] = listed;
      shared.first[i + 1] = splits;
    }
    __syncthreads();
    if (thread < 32) {
      int before = 0;
      for (int i = thread; i - thread < count; i += 32) {
        int sum = i < count ? shared.first[i + 1] : 0;
#pragma unroll
        for (int offset = 1; offset < 32; offset *= 2) {
          const int other = __shfl_up_sync(0xffffffffU, sum, offset);
          if (thread >= offset) sum += other;
        }
        if (i < count) shared.first[i + 1] = before + sum;
        before += __shfl_sync(0xffffffffU, sum, 31);
      }
      if (thread == 0) shared.first[0] = 0;
    }
    __syncthreads();
    restart();
  }

  // Before the items are gone through once more.
  __device__ void restart() {
    const std::int64_t all = std::int64_t{shared_.first[count_]} * kv_heads_;
    begin_ = static_cast<int>(all * blockIdx.x / gridDim.x);
    end_ = static_cast<int>(all * (blockIdx.x + 1) / gridDim.x);
    row_ = 0;
  }

  // The block's part.
  __device__ int begin() const { return begin_; }
  __device__ int end() const { return end_; }

  // Indexes ascend from call to call of a thread.
  __device__ Item at(int index) {
    while (shared_.first[row_ + 1] * kv_heads_ <= index) ++row_;
    Item item;
    item.row = row_;
    item.seen = shared_.rows[row_];
    const Splits splits = splits_of(item.seen);
    const int within = index - shared_.first[row_] * kv_heads_;
    item.splits = splits.count;
    item.kv_head = within / splits.count;
    item.split = within % splits.count;
    item.begin = splits.begin(item.split);
    item.end = splits.begin(item.split + 1);
    item.last = index + 1 == end_;
    return item;
  }

 private:
  Memory& shared_;
  const int kv_heads_;
  const int count_;
  int begin_;
  int end_;
  int row_ = 0;
};

// Zeros for rows that see nothing, by the threads that attend.
template <int kDim, class Memory>
__device__ __forceinline__ void zero_blind_rows(const Attention& work, const Memory& shared,
                                                int count) {
  for (int i = static_cast<int>(blockIdx.x); i < count; i += static_cast<int>(gridDim.x)) {
    if (shared.listed[i] < 0 || shared.first[i + 1] > shared.first[i]) continue;
    __nv_bfloat16* out = work.out + static_cast<std::size_t>(shared.listed[i]) * work.heads * kDim;
    for (int at = static_cast<int>(threadIdx.x); at < work.heads * kDim; at += kAttending)
      out[at] = __float2bfloat16(0.0F);
  }
}

// The warp that copies.
template <int kDim, int kColumns>
__device__ void copy_pages(const Attention& work, Shared<kDim, kColumns>& shared,
                           Line<Shared<kDim, kColumns>>& line) {
  constexpr unsigned kHalf = Shape<kDim, kColumns>::kHalf;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::size_t page_bytes = work.kv.page_bytes();
  const auto* base = static_cast<const unsigned char*>(work.kv.base);
  // A lane holds the id of one page of the next 32.
  const auto id_of = [&](const Item& item, int page) {
    return page + lane < item.end ? work.pages[item.seen.page_begin + page + lane] : 0;
  };
  RingPlace<Shape<kDim, kColumns>::kSlots> place;
  int filled = 0;  // slots so far, up to those of the ring
  if (line.begin() >= line.end()) return;
  Item next = line.at(line.begin());
  int next_id = id_of(next, next.begin);
  for (int index = line.begin(); index < line.end(); ++index) {
    const Item item = next;
    int id = next_id;
    if (index + 1 < line.end()) {
      next = line.at(index + 1);
      next_id = id_of(next, next.begin);
    }
    for (int page = item.begin; page < item.end; page += kTilePages) {
      const int from_id = (page - item.begin) % 32;
      if (from_id == 0 && page > item.begin) id = id_of(item, page);
      const int pages = min(kTilePages, item.end - page);
      const int page_id = __shfl_sync(0xffffffffU, id, from_id + lane % kTilePages);
      const unsigned char* from = base + static_cast<std::size_t>(page_id) * page_bytes +
                                  static_cast<unsigned>(item.kv_head) * 2U * kHalf;
#pragma unroll
      for (unsigned half = 0; half < 2; ++half, place.next()) {  // keys, then values
        if (filled == Shape<kDim, kColumns>::kSlots) {
          wait_at(shared_address(&shared.taken[place.stage]), place.parity ^ 1U);
        } else {
          ++filled;
        }
        const unsigned there = shared_address(&shared.there[place.stage]);
        if (lane == 0) arrive_expecting(there, static_cast<unsigned>(pages) * kHalf);
        __syncwarp();
        if (lane < pages) {
          fp8::fetch(
              shared_address(shared.slots[place.stage] + static_cast<unsigned>(lane) * kHalf),
              from + half * kHalf, kHalf, there);
        }
      }
      __syncwarp();
    }
  }
}

}  // namespace captiond::kernels::paged
