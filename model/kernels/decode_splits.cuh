#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/grid_arrival.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_values.cuh"

// How the keys of a row are split over blocks of decode attention, and how what the splits leave is
// put together, in their order. Both depend on the row's own visible keys alone.

namespace captiond::kernels::decode {

// Rows of a launch up to which its blocks meet instead of leaving a kernel to combine, which would
// be the seventh of a layer: above them rope has none of its own.
inline constexpr int kMeetingRowsMax = 4;
inline constexpr int kFusedHeads = 4;      // up to here the last block combines, else a kernel
inline constexpr int kCounters = 1 << 14;  // half of them for arrivals, the others for meetings
inline constexpr int kMeetings = kCounters / 2;

// What the splits leave for the one that combines: by row of the list, query head and split.
struct Partial {
  unsigned* arrived;  // [rows * kv_heads], zero between calls; null: a kernel combines
  float2* extent;     // [rows, heads, splits]: greatest score and sum of the weights
  float* sum;         // [rows, heads, splits, head_dim], of weight times value
  int splits;
  // Where neither a block nor a kernel combines: [kMeetings] words where blocks meet
  // (grid_arrival.cuh), which then share the work out. Else null.
  unsigned* meetings = nullptr;
};

inline std::size_t counter_bytes() { return kCounters * sizeof(unsigned); }
inline std::size_t extent_bytes(int heads, int count, int splits) {
  return (static_cast<std::size_t>(count) * heads * splits * sizeof(float2) + 15) / 16 * 16;
}
// `last_block`: it combines, else a kernel does.
inline Partial partial_of(const Attention& work, const DecodeRows& rows, int splits,
                          bool last_block) {
  auto* memory = static_cast<unsigned char*>(rows.workspace);
  auto* extent = memory + counter_bytes();
  return {.arrived = last_block ? reinterpret_cast<unsigned*>(memory) : nullptr,
          .extent = reinterpret_cast<float2*>(extent),
          .sum = reinterpret_cast<float*>(extent + extent_bytes(work.heads, rows.count, splits)),
          .splits = splits};
}

// Of the current device; 0 when it does not say.
inline int multiprocessors() {
  int count = 0;
  return multiprocessors_of_device(count) == cudaSuccess ? count : 0;
}

// Blocks that combine by meeting, instead of a kernel, if they all run at once.
inline void let_meet(Partial& partial, const DecodeRows& rows, bool at_once) {
  if (!at_once || !rows.may_wait || rows.count > kMeetingRowsMax || rows.packed.values != nullptr ||
      partial.arrived != nullptr || partial.splits == 1)
    return;
  partial.meetings = static_cast<unsigned*>(rows.workspace) + kMeetings;
}

__device__ inline void store_pair(__nv_bfloat16* to, float2 pair) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(pair.x, pair.y);
}

// Neighbouring dims of a split.
template <int kTwos>
__device__ __forceinline__ void load_twos(const float* from, float2 (&twos)[kTwos]) {
  if constexpr (kTwos == 1) {
    twos[0] = __ldcg(reinterpret_cast<const float2*>(from));
  } else {
#pragma unroll
    for (int t = 0; t < kTwos; t += 2) {
      const float4 four = __ldcg(reinterpret_cast<const float4*>(from + 2 * t));
      twos[t] = make_float2(four.x, four.y);
      twos[t + 1] = make_float2(four.z, four.w);
    }
  }
}

// What the splits of a query head, in their order, are multiplied by; by all lanes of a warp for
// the same head.
struct SplitWeights {
  float low, high;  // of split `lane` and of 32 further
  float share;      // of the sum

  static __device__ SplitWeights of(const Partial& partial, std::size_t head_of_rows, int splits) {
    static_assert(kAttentionSplitsMax == 64, "a lane has two splits");
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float2* extents = partial.extent + head_of_rows * partial.splits;
    const float2 none = make_float2(-INFINITY, 0.0F);
    const float2 first = lane < splits ? __ldcg(&extents[lane]) : none;
    const float2 second = lane + 32 < splits ? __ldcg(&extents[lane + 32]) : none;
    float most = fmaxf(first.x, second.x);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, offset));
    }
    const float low = weight_of(first.x, most), high = weight_of(second.x, most);
    return {low, high, share_of(warp_sum(first.y * low + second.y * high))};
  }
  __device__ float of_split(int split) const {
    return __shfl_sync(0xffffffffU, split < 32 ? low : high, split % 32);
  }
};

// Dims from `dim` of one query head: its splits in their order, multiplied by their share. All
// lanes of a warp call it for the same head. The sums of the first splits are asked for together
// with the extents, so that up to kAtOnce splits wait for the L2 cache once.
template <int kTwos, int kAtOnce>
__device__ __forceinline__ void sum_splits(const Partial& partial, std::size_t head_of_rows,
                                           int splits, int head_dim, int dim,
                                           float2 (&sum)[kTwos]) {
  static_assert(32 % kAtOnce == 0, "a group has its weights in one register");
  const float* from = partial.sum + head_of_rows * partial.splits * head_dim + dim;
  float2 part[kAtOnce][kTwos];
  const auto ask = [&](int first) {
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i >= splits) continue;
      const float* const at = from + static_cast<std::size_t>(first + i) * head_dim;
      load_twos(at, part[i]);
    }
  };
  ask(0);
  const SplitWeights weights = SplitWeights::of(partial, head_of_rows, splits);
#pragma unroll
  for (float2& two : sum) two = {};
  for (int first = 0; first < splits; first += kAtOnce) {
    if (first > 0) ask(first);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const float weight = weights.of_split(first + i);
      if (first + i >= splits) continue;
#pragma unroll
      for (int t = 0; t < kTwos; ++t) {
        sum[t].x += part[i][t].x * weight;
        sum[t].y += part[i][t].y * weight;
      }
    }
  }
#pragma unroll
  for (float2& two : sum) two = make_float2(two.x * weights.share, two.y * weights.share);
}

// out[dim, dim + 1] of one query head. As sum_splits().
__device__ inline void combine(const Partial& partial, std::size_t head_of_rows, int splits,
                               int head_dim, int dim, __nv_bfloat16* out) {
  constexpr int kAtOnce = 16;
  float2 sum[1];
  sum_splits<1, kAtOnce>(partial, head_of_rows, splits, head_dim, dim, sum);
  store_pair(out + dim, sum[0]);
}

// How combine_kernel() puts the splits of a query head together.
struct Combine {
  static constexpr int kDims = 2;  // of a thread
  __device__ void operator()(const Partial& partial, std::size_t head_of_rows, int splits,
                             int head_dim, int dim, __nv_bfloat16* out) const {
    combine(partial, head_of_rows, splits, head_dim, dim, out);
  }
  // Eight dims, not rounded yet; false where they stand in `out` already.
  static __device__ bool eight(const Partial& partial, std::size_t head_of_rows, int splits,
                               int head_dim, int dim, float (&x)[8]) {
    constexpr int kAtOnce = 4;
    float2 sum[4];
    sum_splits<4, kAtOnce>(partial, head_of_rows, splits, head_dim, dim, sum);
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      x[2 * t] = sum[t].x;
      x[2 * t + 1] = sum[t].y;
    }
    return true;
  }
};

// A block a row of the list and query head, Together::kDims dims a thread. Count::of(row) is its
// number of splits; Together is Combine or one like it.
template <typename Count, typename Together>
__global__ void combine_kernel(const Attention work, const int* list, const Partial partial) {
  let_next_kernel_start();
  const int listed = list == nullptr ? static_cast<int>(blockIdx.x) : list[blockIdx.x];
  const std::size_t row_index = static_cast<std::size_t>(max(listed, 0));
  const int splits = Count::of(work.rows[row_index]);
  wait_for_previous_kernels();
  if (listed < 0 || splits < 2) return;
  const int dim = work.kv.head_dim;
  Together{}(partial, static_cast<std::size_t>(blockIdx.x) * work.heads + blockIdx.y, splits, dim,
             static_cast<int>(threadIdx.x) * Together::kDims,
             work.out + (row_index * work.heads + blockIdx.y) * dim);
}

// Enqueues it, if the blocks that attend leave it to do: where they have no counters.
template <typename Count, typename Together>
cudaError_t launch_combine(const Attention& work, const DecodeRows& rows, const Partial& partial,
                           cudaStream_t stream) {
  if (partial.arrived != nullptr || partial.meetings != nullptr || partial.splits == 1)
    return cudaSuccess;
  return launch(
      combine_kernel<Count, Together>,
      {.blocks = dim3(static_cast<unsigned>(rows.count), static_cast<unsigned>(work.heads)),
       .threads = static_cast<unsigned>(work.kv.head_dim / Together::kDims)},
      stream, work, rows.list, partial);
}

// attend_decode() and rotate_and_attend() over fp8 pages.
cudaError_t attend_decode_fp8(const Attention& work, const DecodeRows& rows, cudaStream_t stream);
cudaError_t rotate_and_attend_fp8(const RotateAndStore& rotate, const Attention& work,
                                  const DecodeRows& rows, cudaStream_t stream);

}  // namespace captiond::kernels::decode
