#pragma once

#include <cstddef>

#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"

// The way of values into fp8 pages for many rows. A page has the sixteen positions of a dim side by
// side, so that a row alone writes single bytes, sixteen apart; a block that has a page's sixteen
// rows writes pieces of 16 bytes.

namespace captiond::kernels {

// One block's part: sixteen rows of a step and one KV head. A page that the step fills belongs to
// the block in whose rows it begins; rows of other pages are written by themselves. 128 threads.
template <int kVector, int kSteps>
class ValuePages {
 public:
  static constexpr int kRows = kKvPagePositions;
  static constexpr int kWarps = 4;
  static constexpr int kDim = 64 * kVector * kSteps;
  // A dim's piece, with one more behind each eight: lanes have dims side by side, which would
  // otherwise stand in the same banks.
  static constexpr int kPieces = kDim + kDim / 8;

  __device__ ValuePages(const RotateAndStore& work, int rows, int tile, int kv_head, uint4* pieces)
      : work_(work),
        rows_(rows),
        first_(tile * kRows),
        kv_head_(kv_head),
        lane_(static_cast<int>(threadIdx.x) % 32),
        warp_(static_cast<int>(threadIdx.x) / 32),
        pieces_(pieces) {}

  __device__ void run() {
    const int end = min(first_ + kRows, rows_);
    const int own = page_begin_of(end - 1);
    const bool has_page = own >= first_ && own < end && is_whole(own);
    const int before = page_begin_of(first_);
    const bool ends_here = before < first_ && is_whole(before);  // another block's
    if (has_page) write_page(own);
    for (int row = first_ + warp_; row < end; row += kWarps) {
      const bool written = (has_page && row >= own) || (ends_here && row < before + kRows);
      if (!written && work_.rows[row].position >= 0) write_alone(row);
    }
  }

 private:
  using Head = RotaryHead<kVector, kSteps>;
  static_assert(kVector % 4 == 0 && kSteps == 1);
  static constexpr int kWords = kVector / 4;  // of a lane's dims, for each half of the head

  // Where the page of a row would begin among the rows; behind the row where that is padding.
  __device__ int page_begin_of(int row) const { return row - work_.rows[row].position % kRows; }

  // Whether the sixteen rows from `first` on are the sixteen positions of one page. All lanes.
  __device__ bool is_whole(int first) const {
    if (first < 0 || first + kRows > rows_) return false;
    const KvRow begin = work_.rows[first];
    const KvRow row = work_.rows[first + lane_ % kRows];
    const bool fits = begin.position >= 0 && begin.position % kRows == 0 &&
                      row.position == begin.position + lane_ % kRows &&
                      row.page_begin == begin.page_begin;
    return __all_sync(0xffffffffU, fits);
  }

  __device__ Head value_of(int row) const {
    const int heads = work_.heads + (work_.value_is_key ? 1 : 2) * work_.kv.kv_heads;
    const int index = work_.heads + (work_.value_is_key ? 0 : work_.kv.kv_heads) + kv_head_;
    Head head;
    head.load(work_.projected + (static_cast<std::size_t>(row) * heads + index) * kDim, kDim / 2);
    return normed<false>(head, head, head.scale(kDim, work_.eps));
  }

  __device__ void write_alone(int row) const {
    Fp8Slot(work_, work_.rows[row], kv_head_).store_value(value_of(row));
  }

  // A warp makes the word of each dim that four positions share, fp8_place().
  __device__ void write_page(int first) const {
    unsigned low[4][kWords], high[4][kWords];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Head head = value_of(first + i / 2 * 8 + warp_ * 2 + i % 2);
#pragma unroll
      for (int w = 0; w < kWords; ++w) {
        low[i][w] = four_in_fp8(head.low[0] + 4 * w, kFp8ValueScale);
        high[i][w] = four_in_fp8(head.high[0] + 4 * w, kFp8ValueScale);
      }
    }
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      const int dim = lane_ * kVector + 4 * w;
      put_across(low[0][w], low[1][w], low[2][w], low[3][w], dim);
      put_across(high[0][w], high[1][w], high[2][w], high[3][w], kDim / 2 + dim);
    }
    __syncthreads();
    uint4* to = reinterpret_cast<uint4*>(Fp8Slot(work_, work_.rows[first], kv_head_).values());
    for (int dim = static_cast<int>(threadIdx.x); dim < kDim; dim += kWarps * 32) {
      to[dim] = pieces_[piece(dim)];
    }
  }

  static __device__ int piece(int dim) { return dim + dim / 8; }

  // Four dims of four positions become four words of one dim each.
  __device__ void put_across(unsigned a, unsigned b, unsigned c, unsigned d, int dim) const {
    const unsigned ab = __byte_perm(a, b, 0x5140), cd = __byte_perm(c, d, 0x5140);
    const unsigned ab_later = __byte_perm(a, b, 0x7362), cd_later = __byte_perm(c, d, 0x7362);
    put(dim, __byte_perm(ab, cd, 0x5410));
    put(dim + 1, __byte_perm(ab, cd, 0x7632));
    put(dim + 2, __byte_perm(ab_later, cd_later, 0x5410));
    put(dim + 3, __byte_perm(ab_later, cd_later, 0x7632));
  }
  __device__ void put(int dim, unsigned word) const {
    reinterpret_cast<unsigned*>(pieces_ + piece(dim))[warp_] = word;
  }

  const RotateAndStore& work_;
  const int rows_;   // of the step
  const int first_;  // of the block
  const int kv_head_;
  const int lane_;
  const int warp_;
  uint4* const pieces_;  // [kPieces] shared
};

}  // namespace captiond::kernels
