// Attention of rows that each have keys of their own. The bound is reading the keys and values, so
// the keys of a row are split over blocks, all query heads of a KV head ride on one read, and the
// products go to tensor cores with the heads as the 16 rows of a tile, however few they are.
//
// A split walks over tiles of keys: the copy of the next keys runs under the product with the
// values and the other way round; several blocks on a multiprocessor fill the rest. Splits are
// combined in their order, by the block that ends last where few heads share a KV head, else by a
// second kernel.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/decode_packing.cuh"
#include "model/kernels/decode_splits.cuh"
#include "model/kernels/decode_walk.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary_head.cuh"

namespace captiond::kernels {
namespace {

using decode::combine;
using decode::counter_bytes;
using decode::Extent;
using decode::extent_bytes;
using decode::kFusedHeads;
using decode::kHeadsMax;
using decode::kThreads;
using decode::kWarps;
using decode::Partial;
using decode::partial_of;
using decode::Shared;
using decode::store_pair;
using decode::Walk;

constexpr int kRunMin = 64;             // keys of a split, at least; a multiple of every tile
constexpr int kBlocksAtOnce = 132 * 3;  // that an H200 holds
constexpr int kRoundsLeast = 8;         // of them before blocks take several splits
constexpr int kSplitsOfBlockMax = 8;
// Of a launch whose blocks ask for keys and values ahead of the wait for the kernel in front. Those
// of more rows stand in a queue, and bytes that are read twice out of the L2 cache cost: with 16,
// 32, 64 and 100 rows 1.1, 1.8, 1.0 and 1.0 % of a step in bf16 (bench_decode in turns, H200).
constexpr unsigned kAheadRowsMax = 8;

// The split of one row, from its visible keys alone.
struct Splits {
  int run;  // keys of a split
  int count;
};

__host__ __device__ inline Splits splits_of(int keys) {
  const int most = kAttentionSplitsMax * kRunMin;
  const int run = kRunMin * ((keys + most - 1) / most);
  return {run, keys > 0 ? (keys + run - 1) / run : 0};
}

__device__ inline Splits splits_of(const KvRow& row) {
  return splits_of(row.position < 0 ? 0 : row.end_key - row.first_key);
}
struct SplitCount {
  static __device__ int of(const KvRow& row) { return splits_of(row).count; }
};

// The most splits of rows that see up to `keys_max` keys.
int splits_max(int keys_max) {
  return std::min(kAttentionSplitsMax, (keys_max + kRunMin - 1) / kRunMin);
}

// Whether this block is the last of the row's and KV head's: what the others wrote is then visible.
// One thread fences for the block, whose writes it has seen behind the barrier.
__device__ bool arrive_last(unsigned* arrived, int blocks, bool& last) {
  __syncthreads();
  if (threadIdx.x == 0) {
    const auto others = static_cast<unsigned>(blocks - 1);
    __threadfence();
    last = atomicInc(arrived, others) == others;  // back to zero by itself
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Leaves a split's sums for combine(), or in `out` when the row has no other split.
template <int kDim>
struct Leave {
  const Walk<kDim>& walk;
  const Extent& extent;
  const Partial& partial;
  __nv_bfloat16* out;      // of the KV head's first query head
  std::size_t first_head;  // of all rows of the list
  int first_split;
  int splits;
  int sharing;

  __device__ void operator()(int index) const {
    if (splits == 1) {
      walk.each_sum([&](int head, int dim, float2 pair) {
        const float share = share_of(extent.total[head]);
        store_pair(out + head * kDim + dim, make_float2(pair.x * share, pair.y * share));
      });
      return;
    }
    const int split = first_split + index;
    walk.each_sum([&](int head, int dim, float2 pair) {
      const std::size_t at = ((first_head + head) * partial.splits + split) * kDim + dim;
      *reinterpret_cast<float2*>(partial.sum + at) = pair;
    });
    if (static_cast<int>(threadIdx.x) < sharing) {
      partial.extent[(first_head + threadIdx.x) * partial.splits + split] =
          make_float2(extent.most[threadIdx.x], extent.total[threadIdx.x]);
    }
  }
};

// The weights of the norms of a warp's heads, which no kernel writes: asked for ahead of the wait
// for the kernels before.
template <int kDim>
struct NormWeights {
  StoredHead<kDim / 64> query, key;

  __device__ void load(const RotateAndStore& work) {
    query.load(work.query_weight);
    key.load(work.key_weight);
  }
};

// One head of make_fresh(): what it is, and where it stands in the projections.
struct FreshItem {
  enum Kind { kNone, kQuery, kKey, kValue };
  Kind kind;
  int head;

  __device__ FreshItem(const RotateAndStore& work, int kv_head, int item, bool kv) {
    const int sharing = work.heads / work.kv.kv_heads;
    kind = item < sharing              ? kQuery
           : kv && item == sharing     ? kKey
           : kv && item == sharing + 1 ? kValue
                                       : kNone;
    head = kind == kQuery ? kv_head * sharing + item : work.heads + kv_head;
    if (kind == kValue && !work.value_is_key) head += work.kv.kv_heads;
  }
};

// The row's own queries, and with kv its key and value, from the projections: what
// rotate_and_store() makes of them, into shared memory, key and value into their page as well. A
// warp a head; all of a warp's heads are asked for before the first is used.
template <int kDim>
__device__ void make_fresh(const RotateAndStore& work, Shared<kDim>& shared, std::size_t row_index,
                           const KvRow& row, int kv_head, bool kv,
                           const RotaryTurn<kDim / 64, 1>& turn, const NormWeights<kDim>& weights) {
  using Head = RotaryHead<kDim / 64, 1>;
  constexpr int kHalf = kDim / 2;
  constexpr int kItems = (kHeadsMax + 2 + kWarps - 1) / kWarps;
  const int head_count = work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
  const __nv_bfloat16* projected = work.projected + row_index * head_count * kDim;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  StoredHead<kDim / 64> stored[kItems];
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const FreshItem item(work, kv_head, i * kWarps + warp, kv);
    if (item.kind != FreshItem::kNone) stored[i].load(projected + item.head * kDim);
  }
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int index = i * kWarps + warp;
    const FreshItem item(work, kv_head, index, kv);
    if (item.kind == FreshItem::kNone) continue;
    const Head head = stored[i].values();
    const float scale = head.scale(kDim, work.eps);
    if (item.kind == FreshItem::kQuery) {
      Head query = normed<true>(head, weights.query.values(), scale);
      turn.apply(query);
      const auto place = [&](int dim) {
        return reinterpret_cast<__nv_bfloat16*>(shared.query +
                                                InLines<kDim>::address(0, index, dim / 8)) +
               dim % 8;
      };
      query.store_at(place, kHalf);
      continue;
    }
    const bool is_value = item.kind == FreshItem::kValue;
    Head fresh;
    if (is_value) {
      fresh = normed<false>(head, head, scale);
    } else {
      fresh = normed<true>(head, weights.key.values(), scale);
      turn.apply(fresh);
    }
    fresh.store(shared.fresh[is_value ? 1 : 0], kHalf);
    const Bf16Slot place(work, row, kv_head);
    if (is_value) {
      place.store_value(fresh);
    } else {
      place.store_key(fresh);
    }
  }
}

// kFresh: queries, and the key and value of the row's own position, come from the projections. Its
// blocks have no more than 80 registers a thread, so that they stand beside those of the product in
// front (split_stream.cuh) and have fetched keys and values when the projections are there. On full
// layers, which had 128, that took 3.7 us of 19 to 20 in a step of one row, and 0.3 to 0.7 % of the
// step (trace and bench_decode, H200).
template <int kDim, bool kFresh>
__global__ void __launch_bounds__(kThreads, kDim == 256 || kFresh ? 3 : 2)
    attend_splits_kernel(const Attention work, const RotateAndStore rotate, const int* list,
                         const Partial partial, int splits_of_block) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim>*>(memory);
  let_next_kernel_start();
  const int kv_head = static_cast<int>(blockIdx.y);
  const int listed = list == nullptr ? static_cast<int>(blockIdx.z) : list[blockIdx.z];
  const std::size_t row_index = static_cast<std::size_t>(max(listed, 0));
  const KvRow row = work.rows[row_index];
  const Splits splits = splits_of(row);
  const int first_split = static_cast<int>(blockIdx.x) * splits_of_block;
  const int begin = row.first_key + first_split * splits.run;
  const int end = min(begin + splits_of_block * splits.run, row.end_key);
  const KvSource keys = keys_of(work, row, kv_head);
  const bool mine = listed >= 0 && first_split < splits.count;
  const int sharing = work.heads / work.kv.kv_heads;
  Walk<kDim> walk(shared, sharing);
  RotaryTurn<kDim / 64, 1> turn;
  NormWeights<kDim> weights;
  if (mine && kFresh) {
    walk.start(keys, begin, end, min(end, row.position));
    weights.load(rotate);
    turn.compute(rotate, row.position);
  }
  // No more than a first split: what many blocks ask for at once has to stay in the L2 cache.
  if (mine && gridDim.z <= kAheadRowsMax) prefetch<kDim>(keys, begin, min(begin + kRunMin, end));
  wait_for_previous_kernels();

  const std::size_t of_kv_head = static_cast<std::size_t>(kv_head) * sharing;
  __nv_bfloat16* out = work.out + (row_index * work.heads + of_kv_head) * kDim;
  if (listed >= 0 && splits.count == 0 && blockIdx.x == 0) {
    for (int i = static_cast<int>(threadIdx.x); i < sharing * kDim; i += kThreads)
      out[i] = __float2bfloat16(0.0F);
  }
  if (!mine) return;
  if (splits.count > partial.splits) __trap();  // keys_max was a lie: nobody would take the rest

  if constexpr (kFresh) {
    make_fresh(rotate, shared, row_index, row, kv_head, row.position < end, turn, weights);
    __syncthreads();
  } else {
    walk.copy_query(work.query + (row_index * work.heads + of_kv_head) * kDim);
    walk.start(keys, begin, end, end);
  }
  const std::size_t first_head = static_cast<std::size_t>(blockIdx.z) * work.heads + of_kv_head;
  walk.finish(splits.run, Leave<kDim>{walk, shared.extent, partial, out, first_head, first_split,
                                      splits.count, sharing});
  if (splits.count == 1) return;
  const int blocks = (splits.count + splits_of_block - 1) / splits_of_block;
  const std::size_t counter = blockIdx.z * gridDim.y + kv_head;
  int rank = 0, joining = 1;
  if (partial.meetings != nullptr) {
    __syncthreads();
    if (threadIdx.x == 0)
      meet_in_grid(partial.meetings + counter, blockIdx.x == 0, static_cast<unsigned>(blocks));
    __syncthreads();
    rank = static_cast<int>(blockIdx.x), joining = blocks;
  } else if (partial.arrived == nullptr ||
             !arrive_last(partial.arrived + counter, blocks, shared.last)) {
    return;
  }
  for (int i = rank * kThreads + static_cast<int>(threadIdx.x); i < sharing * kDim / 2;
       i += joining * kThreads) {
    const int head = i / (kDim / 2);
    combine(partial, first_head + head, splits.count, kDim, i % (kDim / 2) * 2, out + head * kDim);
  }
}

// How many splits a block takes.
int splits_of_block(const Attention& work, const DecodeRows& rows, int splits) {
  const std::int64_t all = std::int64_t{rows.count} * work.kv.kv_heads * splits;
  return static_cast<int>(
      std::clamp<std::int64_t>(all / (kBlocksAtOnce * kRoundsLeast), 1, kSplitsOfBlockMax));
}

template <int kDim, bool kFresh>
cudaError_t launch_splits(const Attention& work, const RotateAndStore& rotate,
                          const DecodeRows& rows, cudaStream_t stream) {
  const bool packs = rows.packed.values != nullptr;
  Partial partial = partial_of(work, rows, splits_max(rows.keys_max),
                               !packs && work.heads / work.kv.kv_heads <= kFusedHeads);
  const int of_block = splits_of_block(work, rows, partial.splits);
  const int sharing = work.heads / work.kv.kv_heads;
  const auto count = static_cast<unsigned>(rows.count);
  const int blocks = (partial.splits + of_block - 1) / of_block;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(work.kv.kv_heads), count);
  constexpr int kOfMultiprocessor = 2;  // blocks at once, of either head dim
  decode::let_meet(partial, rows,
                   grid.x * grid.y * grid.z <=
                       static_cast<unsigned>(kOfMultiprocessor * decode::multiprocessors()));
  const cudaError_t status = launch(
      attend_splits_kernel<kDim, kFresh>,
      {.blocks = grid, .threads = kThreads, .shared_bytes = decode::shared_bytes<kDim>(sharing)},
      stream, work, rotate, rows.list, partial, of_block);
  if (status != cudaSuccess) return status;
  return decode::launch_together<SplitCount, decode::Combine>(work, rows, partial, stream);
}

bool servable(const Attention& work, const DecodeRows& rows) {
  return work.out != nullptr && work.kv.base != nullptr && work.rows != nullptr &&
         work.pages != nullptr && rows.workspace != nullptr && rows.count > 0 &&
         rows.keys_max > 0 &&
         decode_attention_supports(work.heads, work.kv.kv_heads, work.kv.head_dim) &&
         rows.count <= decode::kMeetings / work.kv.kv_heads;
}

}  // namespace

bool decode_attention_supports(int heads, int kv_heads, int head_dim) noexcept {
  return (head_dim == 256 || head_dim == 512) && kv_heads > 0 && heads > 0 &&
         heads % kv_heads == 0 && heads / kv_heads <= kHeadsMax;
}

bool rotate_and_attend_supports(int heads, const KvLayer& kv) noexcept {
  return decode_attention_supports(heads, kv.kv_heads, kv.head_dim) &&
         (kv.format == KvFormat::kBf16 || heads / kv.kv_heads <= kFusedHeads);
}

std::size_t decode_workspace_bytes(int heads, int head_dim, int count, int keys_max) noexcept {
  const int splits = splits_max(keys_max);
  return counter_bytes() + extent_bytes(heads, count, splits) +
         static_cast<std::size_t>(count) * heads * splits * head_dim * sizeof(float);
}

cudaError_t attend_decode(const Attention& work, const DecodeRows& rows,
                          cudaStream_t stream) noexcept {
  if (work.query == nullptr || !servable(work, rows)) return cudaErrorInvalidValue;
  if (rows.packed.values != nullptr && !decode::can_combine_and_pack(work, rows))
    return cudaErrorInvalidValue;
  if (work.kv.format == KvFormat::kFp8) return decode::attend_decode_fp8(work, rows, stream);
  return work.kv.head_dim == 256 ? launch_splits<256, false>(work, {}, rows, stream)
                                 : launch_splits<512, false>(work, {}, rows, stream);
}

cudaError_t rotate_and_attend(const RotateAndStore& rotate, __nv_bfloat16* out,
                              const DecodeRows& rows, cudaStream_t stream) noexcept {
  const Attention work = {.query = nullptr,
                          .out = out,
                          .kv = rotate.kv,
                          .rows = rotate.rows,
                          .pages = rotate.pages,
                          .heads = rotate.heads};
  const bool complete = rotate.projected != nullptr && rotate.query_weight != nullptr &&
                        rotate.key_weight != nullptr && rotate.inverse_frequency != nullptr &&
                        rotate.rotary_pairs >= 0 && rotate.rotary_pairs <= rotate.kv.head_dim / 2;
  if (!complete || !servable(work, rows) || rows.packed.values != nullptr ||
      !rotate_and_attend_supports(work.heads, work.kv)) {
    return cudaErrorInvalidValue;
  }
  if (work.kv.format == KvFormat::kFp8) {
    return decode::rotate_and_attend_fp8(rotate, work, rows, stream);
  }
  return work.kv.head_dim == 256 ? launch_splits<256, true>(work, rotate, rows, stream)
                                 : launch_splits<512, true>(work, rotate, rows, stream);
}

}  // namespace captiond::kernels
