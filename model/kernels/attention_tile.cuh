#pragma once

#include <cmath>
#include <cstddef>

#include "model/kernels/attention.h"
#include "model/kernels/tensor_core.cuh"

// What decode and prefill attention share: tiles of keys, values or queries in shared memory, and
// the running softmax.
//
// A tile is [lines, kDim] bf16 in 16-byte pieces; where a piece lies is said by a Place.

namespace captiond::kernels {

inline constexpr float kLog2E = 1.4426950408889634F;

// Line after line. The pieces of a line are permuted by its number, so that eight lines at the same
// column lie in different banks.
template <int kDim>
struct InLines {
  static __device__ unsigned address(unsigned tile, int line, int piece) {
    return tile + static_cast<unsigned>(line * kDim * 2 + (piece ^ (line & 7)) * 16);
  }
};

// Where the keys (or values) of one KV head of a sequence are.
struct KvSource {
  const __nv_bfloat16* base;  // of page 0
  const int* pages;           // by position / kKvPagePositions
  std::size_t page_values;
};

__device__ inline KvSource keys_of(const Attention& work, const KvRow& row, int kv_head) {
  const std::size_t head = static_cast<std::size_t>(kv_head) * kKvPagePositions * work.kv.head_dim;
  return {static_cast<const __nv_bfloat16*>(work.kv.base) + head, work.pages + row.page_begin,
          work.kv.page_values()};
}
__device__ inline KvSource values_of(const KvSource& keys) {
  return {keys.base + keys.page_values / 2, keys.pages, keys.page_values};
}

// Begins to copy positions first … first + kKeys - 1 into a tile; those outside of begin … end - 1
// become zeros (what lies there is nobody's, and 0 * NaN would be NaN). All kWarps warps of the
// block take part. With kAligned, `first` is a multiple of kKvPagePositions.
template <class Place, int kDim, int kKeys, int kWarps, bool kAligned>
__device__ inline void copy_keys(unsigned tile, const KvSource& source, int first, int begin,
                                 int end) {
  constexpr int kPerWarp = kKeys / kWarps;
  static_assert(kKvPagePositions % kPerWarp == 0, "a warp's keys lie in one page, or two");
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int own = first + warp * kPerWarp;
  const int line = own % kKvPagePositions;
  const int left = kKvPagePositions - line;  // keys in the first page
  const __nv_bfloat16* from = source.base;
  const __nv_bfloat16* next = source.base;  // of the page behind, less the keys before it
  const int page = own / kKvPagePositions;
  if (own < end && own + min(left, kPerWarp) > begin) {
    from += source.pages[page] * source.page_values + static_cast<std::size_t>(line) * kDim;
  }
  if (!kAligned && own + left < end && left < kPerWarp) {
    next += source.pages[page + 1] * source.page_values;
  }
  if (own >= begin && own + kPerWarp <= end && (kAligned || left >= kPerWarp)) {  // mostly
#pragma unroll
    for (int i = 0; i < kPerWarp; ++i) {
#pragma unroll
      for (int piece = lane; piece < kDim / 8; piece += 32) {
        copy_async(Place::address(tile, warp * kPerWarp + i, piece), from + i * kDim + piece * 8,
                   true);
      }
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kPerWarp; ++i) {
    const bool valid = own + i >= begin && own + i < end;
    const __nv_bfloat16* key = kAligned || i < left ? from + i * kDim : next + (i - left) * kDim;
#pragma unroll
    for (int piece = lane; piece < kDim / 8; piece += 32) {
      copy_async(Place::address(tile, warp * kPerWarp + i, piece), key + piece * 8, valid);
    }
  }
}

// Asks for the keys and values of positions begin … end - 1 to be brought into the L2 cache: a
// hint, right or wrong, that may be given while those that are new are still being written.
template <int kDim>
__device__ inline void prefetch(const KvSource& keys, int begin, int end) {
  constexpr unsigned kBytes = kKvPagePositions * kDim * 2;
  const int page = begin / kKvPagePositions + static_cast<int>(threadIdx.x) / 2;
  if (page * kKvPagePositions >= end) return;
  const __nv_bfloat16* from = keys.base + keys.pages[page] * keys.page_values +
                              (threadIdx.x % 2 == 0 ? 0 : keys.page_values / 2);
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(kBytes) : "memory");
}

// exp(score - most); 0 for what is not seen (-inf), even while nothing has been (most is -inf too).
// A NaN stays one.
__device__ inline float weight_of(float score, float most) {
  return score == -INFINITY ? 0.0F : exp2f((score - most) * kLog2E);
}

// 1 / sum; a row that sees no keys has sum 0 and becomes zero.
__device__ inline float share_of(float sum) { return sum == 0.0F ? 0.0F : 1.0F / sum; }

__device__ inline float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 2));
}
__device__ inline float quad_sum(float value) {
  value += __shfl_xor_sync(0xffffffffU, value, 1);
  return value + __shfl_xor_sync(0xffffffffU, value, 2);
}

}  // namespace captiond::kernels
