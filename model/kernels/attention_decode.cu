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
#include "model/kernels/programmatic_launch.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kHeadsMax = 16;   // that share a KV head: the rows of a tensor-core tile
constexpr int kRunMin = 64;     // keys of a split, at least; a multiple of every tile
constexpr int kFusedHeads = 4;  // up to here the last block combines
constexpr int kCounters = 1 << 14;
constexpr int kBlocksAtOnce = 132 * 3;  // that an H200 holds
constexpr int kRoundsLeast = 8;         // of them before blocks take several splits
constexpr int kSplitsOfBlockMax = 8;

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

// The most splits of rows that see up to `keys_max` keys.
int splits_max(int keys_max) {
  return std::min(kAttentionSplitsMax, (keys_max + kRunMin - 1) / kRunMin);
}

// What the splits leave for the one that combines: by row of the list, query head and split.
struct Partial {
  unsigned* arrived;  // [rows * kv_heads], zero between calls
  float2* extent;     // [rows, heads, splits]: greatest score and sum of the weights
  float* sum;         // [rows, heads, splits, head_dim], of weight times value
  int splits;
  int splits_of_block;
};

struct Extent {
  float most[kHeadsMax];
  float total[kHeadsMax];
  float rescale[kHeadsMax];
};

template <int kDim>
struct Shape {
  static constexpr int kKeys = kDim == 256 ? 64 : 32;  // of a tile: 32 KiB
  static constexpr int kWeightLine = kKeys + 8;        // keeps ldmatrix free of bank conflicts
  static constexpr int kKeysOfWarp = kKeys / kWarps;   // of the first product
  static constexpr int kDimsOfWarp = kDim / kWarps;    // of the second
  static constexpr int kTileBytes = kKeys * kDim * 2;
};

template <int kDim>
struct Shared {
  alignas(128) unsigned char keys[Shape<kDim>::kTileBytes];
  unsigned char values[Shape<kDim>::kTileBytes];
  float scores[kHeadsMax][Shape<kDim>::kKeys];
  __nv_bfloat16 weights[kHeadsMax][Shape<kDim>::kWeightLine];
  Extent extent;
  bool last;
  alignas(128) unsigned char query[1];  // [heads of the KV head, and a line of zeros where < 16]
};

template <int kDim>
constexpr std::size_t shared_bytes(int sharing) {
  return offsetof(Shared<kDim>, query) +
         static_cast<std::size_t>(std::min(sharing + 1, kHeadsMax)) * kDim * 2;
}

// One block's walk over its keys.
template <int kDim>
class Walk {
 public:
  __device__ Walk(const Attention& work, Shared<kDim>& shared, std::size_t row, int kv_head)
      : shared_(shared),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32),
        sharing_(work.heads / work.kv.kv_heads) {
    const __nv_bfloat16* query =
        work.query + (row * work.heads + static_cast<std::size_t>(kv_head) * sharing_) * kDim;
    const unsigned tile = shared_address(shared.query);
    for (int i = static_cast<int>(threadIdx.x); i < min(sharing_ + 1, kHeadsMax) * (kDim / 8);
         i += kThreads) {
      const int line = i / (kDim / 8);
      const int piece = i % (kDim / 8);
      copy_async(InLines<kDim>::address(tile, line, piece), query + line * kDim + piece * 8,
                 line < sharing_);
    }
    for (int i = static_cast<int>(threadIdx.x); i < kHeadsMax * Shape<kDim>::kWeightLine;
         i += kThreads) {
      shared.weights[0][i] = __float2bfloat16(0.0F);
    }
    if (threadIdx.x < kHeadsMax) {
      shared.extent.most[threadIdx.x] = -INFINITY;
      shared.extent.total[threadIdx.x] = 0.0F;
    }
  }

  // Over positions begin … end - 1, in splits of `run`; calls leave(split), of 0, 1, …, when the
  // sums of one are complete. They are forgotten then.
  template <typename Leave>
  __device__ void over(const KvSource& keys, int begin, int end, int run, Leave leave) {
    const KvSource values = values_of(keys);
    copy(shared_.keys, keys, begin, end);
    copy(shared_.values, values, begin, end);
    for (int tile = begin; tile < end; tile += kKeys) {
      wait_for_copies<1>();
      __syncthreads();
      score();
      __syncthreads();
      copy(shared_.keys, keys, tile + kKeys, end);
      weigh(end - tile);
      wait_for_copies<1>();
      __syncthreads();
      add_values();
      __syncthreads();
      copy(shared_.values, values, tile + kKeys, end);
      const int done = tile + kKeys - begin;
      if (done % run == 0 || tile + kKeys >= end) {
        leave((done - 1) / run);
        if (tile + kKeys < end) forget();
      }
    }
  }

  // Gives f every pair of sums: query head of the KV head, first dim, both sums.
  template <typename F>
  __device__ void each_sum(F f) const {
    const int head = lane_ / 4;
#pragma unroll
    for (int i = 0; i < kDimsOfWarp / 8; ++i) {
      const int dim = warp_ * kDimsOfWarp + i * 8 + lane_ % 4 * 2;
      if (head < sharing_) f(head, dim, make_float2(sum_[i][0], sum_[i][1]));
      if (head + 8 < sharing_) f(head + 8, dim, make_float2(sum_[i][2], sum_[i][3]));
    }
  }

 private:
  static constexpr int kKeys = Shape<kDim>::kKeys;
  static constexpr int kKeysOfWarp = Shape<kDim>::kKeysOfWarp;
  static constexpr int kDimsOfWarp = Shape<kDim>::kDimsOfWarp;

  __device__ void copy(unsigned char* tile, const KvSource& source, int first, int end) {
    if (first < end) {
      copy_keys<InLines<kDim>, kDim, kKeys, kWarps, false>(shared_address(tile), source, first,
                                                           first, end);
    }
    commit_copies();
  }

  __device__ void forget() {
#pragma unroll
    for (auto& sum : sum_) {
#pragma unroll
      for (float& value : sum) value = 0.0F;
    }
    // By the thread that has read them for the split; seen by others behind the next barrier.
    if (threadIdx.x < kHeadsMax) {
      shared_.extent.most[threadIdx.x] = -INFINITY;
      shared_.extent.total[threadIdx.x] = 0.0F;
    }
  }

  // scores[h, k] = query[h] · key[k] for the warp's keys of the tile.
  __device__ void score() {
    const unsigned query = shared_address(shared_.query);
    const unsigned keys = shared_address(shared_.keys);
    const int head = min(lane_ % 16, sharing_);
    float c[2][4] = {};
#pragma unroll 8
    for (int step = 0; step < kDim / 16; step += kKeysOfWarp == 16 ? 1 : 2) {
      unsigned a[4];
      unsigned b[4];
      load_matrices(a, InLines<kDim>::address(query, head, step * 2 + lane_ / 16));
      if constexpr (kKeysOfWarp == 16) {
        const int key = warp_ * 16 + lane_ / 16 * 8 + lane_ % 8;
        load_matrices(b, InLines<kDim>::address(keys, key, step * 2 + lane_ / 8 % 2));
        multiply_add(c[0], a, b[0], b[1]);
        multiply_add(c[1], a, b[2], b[3]);
      } else {
        load_matrices(b, InLines<kDim>::address(keys, warp_ * 8 + lane_ % 8, step * 2 + lane_ / 8));
        multiply_add(c[0], a, b[0], b[1]);
        load_matrices(a, InLines<kDim>::address(query, head, step * 2 + 2 + lane_ / 16));
        multiply_add(c[1], a, b[2], b[3]);
      }
    }
    if constexpr (kKeysOfWarp == 8) {
#pragma unroll
      for (int i = 0; i < 4; ++i) c[0][i] += c[1][i];
    }
#pragma unroll
    for (int n = 0; n < kKeysOfWarp / 8; ++n) {
      const int key = warp_ * kKeysOfWarp + n * 8 + lane_ % 4 * 2;
      *reinterpret_cast<float2*>(&shared_.scores[lane_ / 4][key]) = make_float2(c[n][0], c[n][1]);
      *reinterpret_cast<float2*>(&shared_.scores[lane_ / 4 + 8][key]) =
          make_float2(c[n][2], c[n][3]);
    }
  }

  // From scores to weights, a warp a query head; only the first `keys` of the tile are keys.
  __device__ void weigh(int keys) {
    Extent& extent = shared_.extent;
    for (int head = warp_; head < sharing_; head += kWarps) {
      float scores[kKeys / 32];
      float most = extent.most[head];
#pragma unroll
      for (int i = 0; i < kKeys / 32; ++i) {
        const int key = i * 32 + lane_;
        scores[i] = key < keys ? shared_.scores[head][key] : -INFINITY;
        most = fmaxf(most, scores[i]);
      }
#pragma unroll
      for (int offset = 16; offset > 0; offset /= 2) {
        most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, offset));
      }
      float total = 0.0F;
#pragma unroll
      for (int i = 0; i < kKeys / 32; ++i) {
        const float weight = weight_of(scores[i], most);
        total += weight;
        shared_.weights[head][i * 32 + lane_] = __float2bfloat16(weight);
      }
#pragma unroll
      for (int offset = 16; offset > 0; offset /= 2) {
        total += __shfl_xor_sync(0xffffffffU, total, offset);
      }
      __syncwarp();
      if (lane_ == 0) {
        extent.rescale[head] = weight_of(extent.most[head], most);
        extent.most[head] = most;
        extent.total[head] = extent.total[head] * extent.rescale[head] + total;
      }
    }
  }

  // sum[h, :] = sum[h, :] * rescale[h] + Σ weights[h, k] * value[k, :] for the warp's dims.
  __device__ void add_values() {
    const unsigned values = shared_address(shared_.values);
    const int head = lane_ / 4;
    const float low = head < sharing_ ? shared_.extent.rescale[head] : 0.0F;
    const float high = head + 8 < sharing_ ? shared_.extent.rescale[head + 8] : 0.0F;
#pragma unroll
    for (auto& sum : sum_) {
      sum[0] *= low;
      sum[1] *= low;
      sum[2] *= high;
      sum[3] *= high;
    }
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      unsigned a[4];
      load_matrices(a, shared_address(&shared_.weights[lane_ % 16][step * 16 + lane_ / 16 * 8]));
#pragma unroll
      for (int i = 0; i < kDimsOfWarp / 8; i += 2) {
        unsigned b[4];
        const int piece = warp_ * kDimsOfWarp / 8 + i + lane_ / 16;
        load_matrices_transposed(b, InLines<kDim>::address(values, step * 16 + lane_ % 16, piece));
        multiply_add(sum_[i], a, b[0], b[1]);
        multiply_add(sum_[i + 1], a, b[2], b[3]);
      }
    }
  }

  Shared<kDim>& shared_;
  const int warp_;
  const int lane_;
  const int sharing_;
  float sum_[kDimsOfWarp / 8][4] = {};
};

__device__ inline void store_pair(__nv_bfloat16* to, float2 pair) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(pair.x, pair.y);
}

// out[dim … dim + 3] of one query head from its splits, in their order.
__device__ void combine(const Partial& partial, std::size_t head_of_rows, int splits, int kDim,
                        int dim, __nv_bfloat16* out) {
  const float2* extents = partial.extent + head_of_rows * partial.splits;
  float most = -INFINITY;
  for (int s = 0; s < splits; ++s) most = fmaxf(most, __ldcg(&extents[s]).x);
  const float* from = partial.sum + head_of_rows * partial.splits * kDim + dim;
  float4 sum = {};
  float total = 0.0F;
#pragma unroll 8
  for (int s = 0; s < splits; ++s) {
    const float2 extent = __ldcg(&extents[s]);
    const float weight = weight_of(extent.x, most);
    const float4 part = __ldcg(reinterpret_cast<const float4*>(from + s * kDim));
    total += extent.y * weight;
    sum.x += part.x * weight;
    sum.y += part.y * weight;
    sum.z += part.z * weight;
    sum.w += part.w * weight;
  }
  const float share = share_of(total);
  store_pair(out + dim, make_float2(sum.x * share, sum.y * share));
  store_pair(out + dim + 2, make_float2(sum.z * share, sum.w * share));
}

// Whether this block is the last of the row's and KV head's: what the others wrote is then visible.
__device__ bool arrive_last(unsigned* arrived, int blocks, bool& last) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const auto others = static_cast<unsigned>(blocks - 1);
    last = atomicInc(arrived, others) == others;  // back to zero by itself
  }
  __syncthreads();
  __threadfence();
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

template <int kDim>
__global__ void __launch_bounds__(kThreads)
    attend_splits_kernel(const Attention work, const int* list, const Partial partial) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim>*>(memory);
  let_next_kernel_start();
  const int kv_head = static_cast<int>(blockIdx.y);
  const int listed = list == nullptr ? static_cast<int>(blockIdx.z) : list[blockIdx.z];
  const std::size_t row_index = static_cast<std::size_t>(max(listed, 0));
  const KvRow row = work.rows[row_index];
  const Splits splits = splits_of(row);
  const int first_split = static_cast<int>(blockIdx.x) * partial.splits_of_block;
  const int begin = row.first_key + first_split * splits.run;
  const int end = min(begin + partial.splits_of_block * splits.run, row.end_key);
  const KvSource keys = keys_of(work, row, kv_head);
  const bool mine = listed >= 0 && first_split < splits.count;
  if (mine) prefetch<kDim>(keys, begin, end);
  wait_for_previous_kernels();

  const int sharing = work.heads / work.kv.kv_heads;
  const std::size_t of_kv_head = static_cast<std::size_t>(kv_head) * sharing;
  __nv_bfloat16* out = work.out + (row_index * work.heads + of_kv_head) * kDim;
  if (listed >= 0 && splits.count == 0 && blockIdx.x == 0) {
    for (int i = static_cast<int>(threadIdx.x); i < sharing * kDim; i += kThreads) {
      out[i] = __float2bfloat16(0.0F);
    }
  }
  if (!mine) return;
  if (splits.count > partial.splits) __trap();  // keys_max was a lie: nobody would take the rest

  const std::size_t first_head = static_cast<std::size_t>(blockIdx.z) * work.heads + of_kv_head;
  Walk<kDim> walk(work, shared, row_index, kv_head);
  walk.over(keys, begin, end, splits.run,
            Leave<kDim>{walk, shared.extent, partial, out, first_head, first_split, splits.count,
                        sharing});
  if (sharing > kFusedHeads || splits.count == 1) return;
  const int blocks = (splits.count + partial.splits_of_block - 1) / partial.splits_of_block;
  unsigned* arrived = partial.arrived + blockIdx.z * gridDim.y + kv_head;
  if (!arrive_last(arrived, blocks, shared.last)) return;
  for (int i = static_cast<int>(threadIdx.x); i < sharing * kDim / 4; i += kThreads) {
    const int head = i / (kDim / 4);
    combine(partial, first_head + head, splits.count, kDim, i % (kDim / 4) * 4, out + head * kDim);
  }
}

// A block a row of the list and query head, four dims a thread.
__global__ void combine_kernel(const Attention work, const int* list, const Partial partial) {
  let_next_kernel_start();
  const int listed = list == nullptr ? static_cast<int>(blockIdx.x) : list[blockIdx.x];
  const std::size_t row_index = static_cast<std::size_t>(max(listed, 0));
  const Splits splits = splits_of(work.rows[row_index]);
  wait_for_previous_kernels();
  if (listed < 0 || splits.count < 2) return;
  const int dim = work.kv.head_dim;
  combine(partial, static_cast<std::size_t>(blockIdx.x) * work.heads + blockIdx.y, splits.count,
          dim, static_cast<int>(threadIdx.x) * 4,
          work.out + (row_index * work.heads + blockIdx.y) * dim);
}

std::size_t counter_bytes() { return kCounters * sizeof(unsigned); }
std::size_t extent_bytes(int heads, int count, int splits) {
  return (static_cast<std::size_t>(count) * heads * splits * sizeof(float2) + 15) / 16 * 16;
}

Partial partial_of(const Attention& work, const DecodeRows& rows) {
  const int splits = splits_max(rows.keys_max);
  const std::int64_t all = std::int64_t{rows.count} * work.kv.kv_heads * splits;
  const auto of_block =
      std::clamp<std::int64_t>(all / (kBlocksAtOnce * kRoundsLeast), 1, kSplitsOfBlockMax);
  auto* memory = static_cast<unsigned char*>(rows.workspace);
  auto* extent = memory + counter_bytes();
  return {.arrived = reinterpret_cast<unsigned*>(memory),
          .extent = reinterpret_cast<float2*>(extent),
          .sum = reinterpret_cast<float*>(extent + extent_bytes(work.heads, rows.count, splits)),
          .splits = splits,
          .splits_of_block = static_cast<int>(of_block)};
}

template <int kDim>
cudaError_t launch_splits(const Attention& work, const DecodeRows& rows, cudaStream_t stream) {
  const Partial partial = partial_of(work, rows);
  const int sharing = work.heads / work.kv.kv_heads;
  const auto count = static_cast<unsigned>(rows.count);
  const int blocks = (partial.splits + partial.splits_of_block - 1) / partial.splits_of_block;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(work.kv.kv_heads), count);
  const cudaError_t status =
      launch(attend_splits_kernel<kDim>,
             {.blocks = grid, .threads = kThreads, .shared_bytes = shared_bytes<kDim>(sharing)},
             stream, work, rows.list, partial);
  if (status != cudaSuccess || sharing <= kFusedHeads || partial.splits == 1) return status;
  return launch(combine_kernel,
                {.blocks = dim3(count, static_cast<unsigned>(work.heads)), .threads = kDim / 4},
                stream, work, rows.list, partial);
}

}  // namespace

bool decode_attention_supports(int heads, int kv_heads, int head_dim) noexcept {
  return (head_dim == 256 || head_dim == 512) && kv_heads > 0 && heads > 0 &&
         heads % kv_heads == 0 && heads / kv_heads <= kHeadsMax;
}

std::size_t decode_workspace_bytes(int heads, int head_dim, int count, int keys_max) noexcept {
  const int splits = splits_max(keys_max);
  return counter_bytes() + extent_bytes(heads, count, splits) +
         static_cast<std::size_t>(count) * heads * splits * head_dim * sizeof(float);
}

cudaError_t attend_decode(const Attention& work, const DecodeRows& rows,
                          cudaStream_t stream) noexcept {
  const bool complete = work.query != nullptr && work.out != nullptr && work.kv.base != nullptr &&
                        work.rows != nullptr && work.pages != nullptr && rows.workspace != nullptr;
  if (!complete || rows.count <= 0 || rows.keys_max <= 0 ||
      !decode_attention_supports(work.heads, work.kv.kv_heads, work.kv.head_dim) ||
      rows.count > kCounters / work.kv.kv_heads) {
    return cudaErrorInvalidValue;
  }
  return work.kv.head_dim == 256 ? launch_splits<256>(work, rows, stream)
                                 : launch_splits<512>(work, rows, stream);
}

}  // namespace captiond::kernels
