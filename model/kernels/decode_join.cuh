#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/decode_pages.cuh"
#include "model/kernels/decode_splits.cuh"
#include "model/kernels/row_values.cuh"

// How decode attention over fp8 pages puts the splits of a row together: one after another, each
// rescaled to the greatest score so far. A block that has the first splits of a row and head joins
// them in registers, with these very operations, and leaves the others single: so a row's bits do
// not depend on where the blocks of a launch begin and end.

namespace captiond::kernels::paged {

// The sums of weights that say, in an extent, that a split is joined into a later one, and, in that
// of the first split, that the output is written. A sum is never negative.
inline constexpr float kInLaterSplit = -1.0F;
inline constexpr float kWritten = -2.0F;

// What values so far and those of the next split are multiplied by.
struct JoinFactors {
  float before, next;
};

// `extent`: greatest score and sum of the weights so far.
__device__ __forceinline__ JoinFactors join_extents(float2& extent, const float2& next) {
  const float most = fmaxf(extent.x, next.x);
  const JoinFactors factors{weight_of(extent.x, most), weight_of(next.x, most)};
  extent.x = most;
  extent.y = __fmaf_rn(extent.y, factors.before, __fmul_rn(next.y, factors.next));
  return factors;
}
__device__ __forceinline__ float joined(float before, float next, const JoinFactors& factors) {
  return __fmaf_rn(before, factors.before, __fmul_rn(next, factors.next));
}
__device__ __forceinline__ float2 no_extent() { return make_float2(-INFINITY, 0.0F); }

// What a lane has of the splits of a row and KV head that its block has had from the first on, or
// of the latest alone: for each group of heads the extent, and two dims of each part.
template <int kParts, int kGroups>
struct SplitSums {
  bool from_first = false;
  float2 extent[kGroups];
  float2 sum[kParts][kGroups];

  // Before the first split of a row and KV head.
  __device__ __forceinline__ void begin() {
    from_first = true;
#pragma unroll
    for (float2& one : extent) one = no_extent();
#pragma unroll
    for (auto& part : sum) {
#pragma unroll
      for (float2& two : part) two = {};
    }
  }
  // The next split of a group of heads.
  __device__ __forceinline__ void add(int group, const float2& next,
                                      const float2 (&next_sum)[kParts]) {
    if (!from_first) extent[group] = no_extent();
    const JoinFactors factors = join_extents(extent[group], next);
#pragma unroll
    for (int m = 0; m < kParts; ++m) {
      const float2 before = from_first ? sum[m][group] : make_float2(0.0F, 0.0F);
      sum[m][group] = make_float2(joined(before.x, next_sum[m].x, factors),
                                  joined(before.y, next_sum[m].y, factors));
    }
  }
};

// Dims from `dim` of one query head from what its splits have left, not yet multiplied by `share`;
// false where they are written already. All lanes of a warp call it for the same head.
template <int kQuads>
__device__ __forceinline__ bool join_sums(const decode::Partial& partial, std::size_t head_of_rows,
                                          int splits, int head_dim, int dim, float4 (&sum)[kQuads],
                                          float& share) {
  constexpr unsigned kAll = 0xffffffffU;
  constexpr int kAtOnce = 4;
  static_assert(kAttentionSplitsMax == 64, "a lane has two splits");
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float2* extents = partial.extent + head_of_rows * partial.splits;
  const float2 low = lane < splits ? __ldcg(&extents[lane]) : no_extent();
  const float2 high = lane + 32 < splits ? __ldcg(&extents[lane + 32]) : no_extent();
  if (__shfl_sync(kAll, low.y, 0) == kWritten) return false;
  const float* from = partial.sum + head_of_rows * partial.splits * head_dim + dim;
  float2 extent = no_extent();
#pragma unroll
  for (float4& quad : sum) quad = {};
  for (int first = 0; first < splits; first += kAtOnce) {
    float2 next[kAtOnce];
    float4 part[kAtOnce][kQuads];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int s = first + i;
      next[i].x = __shfl_sync(kAll, s < 32 ? low.x : high.x, s % 32);
      next[i].y = __shfl_sync(kAll, s < 32 ? low.y : high.y, s % 32);
      if (s >= splits) next[i].y = kInLaterSplit;
      if (next[i].y == kInLaterSplit) continue;
#pragma unroll
      for (int q = 0; q < kQuads; ++q)
        part[i][q] = __ldcg(
            reinterpret_cast<const float4*>(from + static_cast<std::size_t>(s) * head_dim) + q);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (next[i].y == kInLaterSplit) continue;
      const JoinFactors factors = join_extents(extent, next[i]);
#pragma unroll
      for (int q = 0; q < kQuads; ++q)
        sum[q] = {joined(sum[q].x, part[i][q].x, factors), joined(sum[q].y, part[i][q].y, factors),
                  joined(sum[q].z, part[i][q].z, factors), joined(sum[q].w, part[i][q].w, factors)};
    }
  }
  share = share_of(extent.y);
  return true;
}

// out[dim … dim + 3] of one query head. As join_sums().
__device__ inline void join_splits(const decode::Partial& partial, std::size_t head_of_rows,
                                   int splits, int head_dim, int dim, __nv_bfloat16* out) {
  float4 sum[1];
  float share = 0.0F;
  if (!join_sums(partial, head_of_rows, splits, head_dim, dim, sum, share)) return;
  decode::store_pair(out + dim, make_float2(sum[0].x * share, sum[0].y * share));
  decode::store_pair(out + dim + 2, make_float2(sum[0].z * share, sum[0].w * share));
}

// `heads` query heads from `first_head` on, by kAttending threads of each of `blocks` blocks, of
// which this is the one of number `rank`; out [heads, kDim].
template <int kDim>
__device__ __forceinline__ void join_heads(const decode::Partial& partial, std::size_t first_head,
                                           int heads, int splits, int rank, int blocks,
                                           __nv_bfloat16* out) {
  for (int i = rank * kAttending + static_cast<int>(threadIdx.x); i < heads * kDim / 4;
       i += blocks * kAttending) {
    const int head = i / (kDim / 4);
    join_splits(partial, first_head + head, splits, kDim, i % (kDim / 4) * 4, out + head * kDim);
  }
}

// Whether the calling block's split is the last of the row and KV head: what the others wrote is
// then visible. By the threads that attend.
__device__ __forceinline__ bool arrive_last(unsigned* arrived, int splits, bool& last) {
  __threadfence();
  meet();
  if (threadIdx.x == 0) {
    const auto others = static_cast<unsigned>(splits - 1);
    last = atomicInc(arrived, others) == others;  // back to zero by itself
  }
  meet();
  __threadfence();
  return last;
}

// For decode::launch_combine().
struct Join {
  static constexpr int kDims = 4;  // of a thread
  __device__ void operator()(const decode::Partial& partial, std::size_t head_of_rows, int splits,
                             int head_dim, int dim, __nv_bfloat16* out) const {
    join_splits(partial, head_of_rows, splits, head_dim, dim, out);
  }
  // Eight dims, not rounded yet; false where they stand in `out` already.
  static __device__ bool eight(const decode::Partial& partial, std::size_t head_of_rows, int splits,
                               int head_dim, int dim, float (&x)[8]) {
    float4 sum[2];
    float share = 0.0F;
    if (!join_sums(partial, head_of_rows, splits, head_dim, dim, sum, share)) return false;
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      x[q * 4] = sum[q].x * share;
      x[q * 4 + 1] = sum[q].y * share;
      x[q * 4 + 2] = sum[q].z * share;
      x[q * 4 + 3] = sum[q].w * share;
    }
    return true;
  }
};

}  // namespace captiond::kernels::paged
