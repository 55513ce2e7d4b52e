#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_values.cuh"

// How the keys of a row are split over blocks of decode attention, and how what the splits leave is
// put together, in their order. Both depend on the row's own visible keys alone.

namespace captiond::kernels::decode {

inline constexpr int kFusedHeads = 4;  // up to here the last block combines, else a kernel
inline constexpr int kCounters = 1 << 14;

// What the splits leave for the one that combines: by row of the list, query head and split.
struct Partial {
  unsigned* arrived;  // [rows * kv_heads], zero between calls; null: a kernel combines
  float2* extent;     // [rows, heads, splits]: greatest score and sum of the weights
  float* sum;         // [rows, heads, splits, head_dim], of weight times value
  int splits;
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

__device__ inline void store_pair(__nv_bfloat16* to, float2 pair) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(pair.x, pair.y);
}

inline constexpr int kCombineAtOnce = 16;  // splits that are asked for together

// out[dim, dim + 1] of one query head from its splits, in their order. All lanes of a warp call it
// for the same head. The sums of the first splits are asked for together with the extents, so that
// up to kCombineAtOnce splits wait for the L2 cache once.
__device__ inline void combine(const Partial& partial, std::size_t head_of_rows, int splits,
                               int head_dim, int dim, __nv_bfloat16* out) {
  constexpr unsigned kAll = 0xffffffffU;
  static_assert(kAttentionSplitsMax == 64, "a lane has two splits");
  static_assert(32 % kCombineAtOnce == 0, "a group has its weights in one register");
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float* from = partial.sum + head_of_rows * partial.splits * head_dim + dim;
  float2 part[kCombineAtOnce];
  const auto ask = [&](int first) {
#pragma unroll
    for (int i = 0; i < kCombineAtOnce; ++i) {
      if (first + i >= splits) continue;
      part[i] = __ldcg(
          reinterpret_cast<const float2*>(from + static_cast<std::size_t>(first + i) * head_dim));
    }
  };
  ask(0);
  const float2* extents = partial.extent + head_of_rows * partial.splits;
  const float2 none = make_float2(-INFINITY, 0.0F);
  const float2 low = lane < splits ? __ldcg(&extents[lane]) : none;
  const float2 high = lane + 32 < splits ? __ldcg(&extents[lane + 32]) : none;
  float most = fmaxf(low.x, high.x);
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    most = fmaxf(most, __shfl_xor_sync(kAll, most, offset));
  }
  const float low_weight = weight_of(low.x, most);
  const float high_weight = weight_of(high.x, most);
  const float total = warp_sum(low.y * low_weight + high.y * high_weight);
  float2 sum = {};
  for (int first = 0; first < splits; first += kCombineAtOnce) {
    if (first > 0) ask(first);
    const float weights = first < 32 ? low_weight : high_weight;
#pragma unroll
    for (int i = 0; i < kCombineAtOnce; ++i) {
      const float weight = __shfl_sync(kAll, weights, (first + i) % 32);
      if (first + i >= splits) continue;
      sum.x += part[i].x * weight;
      sum.y += part[i].y * weight;
    }
  }
  const float share = share_of(total);
  store_pair(out + dim, make_float2(sum.x * share, sum.y * share));
}

// How combine_kernel() puts the splits of a query head together.
struct Combine {
  static constexpr int kDims = 2;  // of a thread
  __device__ void operator()(const Partial& partial, std::size_t head_of_rows, int splits,
                             int head_dim, int dim, __nv_bfloat16* out) const {
    combine(partial, head_of_rows, splits, head_dim, dim, out);
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
template <typename Count, typename Together = Combine>
cudaError_t launch_combine(const Attention& work, const DecodeRows& rows, const Partial& partial,
                           cudaStream_t stream) {
  if (partial.arrived != nullptr || partial.splits == 1) return cudaSuccess;
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
