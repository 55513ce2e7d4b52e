#pragma once

// The kernel of few rows: y[n, o] = Σ x[n, k] * W[o, k], as fast as W can be read.
//
// Each block owns a run of rows of W and walks it in passes of 32 rows. Its eight warps share K:
// each takes a run of K-blocks, the same for every pass, and streams its part of the 32 rows
// through a ring of its own in shared memory (cp.async: about 128 KiB in flight on each SM, no
// barrier between warps). A thread fetches only what it multiplies: 16 bytes of the rows g, g + 8,
// g + 16, g + 24 (g = lane / 4). Tensor cores multiply, with the rows of W as the 16 rows of
// mma.m16n8k16 and the rows of x as its 8 columns; the order of K inside a block is permuted alike
// on both sides. After a pass the warps' sums are added in the order of the warps.
//
// So the sum of a row of x is formed in the same order whatever else is in the launch: its bits do
// not depend on the number of rows nor on the number of blocks, and no atomics are used.
//
// Above 16 rows fetching x from the cache would cost more than the weights. There four blocks form
// a cluster: each takes a quarter of K, so of x, for four times as many rows of W, which its warps
// share out in groups; each adds up one group, reading the others' sums from their shared memory.
// The order of addition stays the same.
//
// Weights do not depend on the kernels before: the ring is filled before their end is awaited. One
// block takes an SM for itself: a smaller ring, with which two blocks fit, was slower
// (bench_kernels int8 step, 1 row: 7.3 instead of 4.9 ms), the next kernel's weights in flight
// notwithstanding.

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>

#include "model/kernels/matrix.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/weight_format.cuh"

namespace captiond::kernels {

inline constexpr int kStreamWarps = 8;
inline constexpr int kStreamThreads = 32 * kStreamWarps;
inline constexpr int kPassRows = 32;
inline constexpr int kChunkBytes = 16;
inline constexpr int kBlockChunks = 8;  // of a row: 128 bytes

// Matrix and input of one launch; a copy lives in every thread.
struct StreamInput {
  const char* values = nullptr;
  const void* scales = nullptr;
  const __nv_bfloat16* x = nullptr;
  int out = 0;
  int in = 0;
  int rows = 0;
  // The kernel in front takes long and hardly reads memory (split_stream.cuh).
  bool long_wait = false;
};

__device__ __forceinline__ void copy_16_bytes(void* shared, const void* global, bool inside) {
  const auto target = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(target), "l"(global),
               "r"(inside ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copy_4_bytes(void* shared, const void* global) {
  const auto target = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(target), "l"(global) : "memory");
}

__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ void multiply_add(float (&sum)[4], std::uint32_t a0, std::uint32_t a1,
                                             std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Items (rows of W, or pairs of a gate and an up row) of one pass of this block.
struct Pass {
  int begin = 0;
  int count = 0;
};

// Blocks that share K, and groups of rows that a pass has.
constexpr int cluster_of(int tiles) { return tiles <= 2 ? 1 : 4; }

// How the rows of W are dealt to clusters, passes and groups: the first `extra` parts have one item
// more than the others.
template <bool kPaired, int kGroups>
struct Deal {
  static constexpr int kPassItems = kPaired ? kPassRows / 2 : kPassRows;  // of a group
  int items_begin, passes, items_of_part, extra, out;

  __device__ explicit Deal(int rows_of_w) : out(rows_of_w) {
    const int all = kPaired ? rows_of_w / 2 : rows_of_w;
    const int clusters = static_cast<int>(gridDim.x) / kGroups;
    const int cluster = static_cast<int>(blockIdx.x) / kGroups;
    const int each = all / clusters, more = all % clusters;
    items_begin = cluster * each + min(cluster, more);
    const int items = each + (cluster < more ? 1 : 0);
    passes = (items + kPassItems * kGroups - 1) / (kPassItems * kGroups);
    items_of_part = items / (passes * kGroups);
    extra = items % (passes * kGroups);
  }
  __device__ Pass pass(int index, int group) const {
    const int part = index * kGroups + group;
    return {items_begin + part * items_of_part + min(part, extra),
            items_of_part + (part < extra ? 1 : 0)};
  }
  // Row of W at `half` (0 … 3: g, g + 8, g + 16, g + 24) of a pass, or -1.
  __device__ int row(const Pass& pass, int half, int g) const {
    const int item = (kPaired ? half / 2 : half) * 8 + g;
    if (item >= pass.count) return -1;
    return pass.begin + item + (kPaired && half % 2 == 1 ? out / 2 : 0);
  }
};

template <class Format>
constexpr std::size_t stage_bytes() {
  return kPassRows * (kBlockChunks * kChunkBytes + (Format::kGroupScales ? 16 : 0));
}
template <class Format>
constexpr std::size_t ring_bytes() {
  return Format::kStages * stage_bytes<Format>();
}

// One warp's stream of weights: its K-blocks of its group's rows in every pass, one stage a block.
template <class Format, class Dealt>
class WeightRing {
 public:
  __device__ WeightRing(const StreamInput& input, const Dealt& deal, int group, char* ring,
                        int begin, int end)
      : input_(input),
        deal_(deal),
        ring_(ring),
        group_(group),
        begin_(begin),
        end_(end),
        block_(begin) {
    pass_ = begin == end ? deal.passes : 0;
    enter_pass();
  }

  // Starts the copies of the next block into `slot`; when none is left, commits an empty group, so
  // that groups and blocks keep in step.
  __device__ void fetch(int slot) {
    if (pass_ < deal_.passes) {
      const int lane = threadIdx.x % 32;
      uint4* stage = values(slot);
#pragma unroll
      for (int half = 0; half < 4; ++half) {
        if (rows_[half] < 0) continue;
        const char* row = input_.values + rows_[half] * row_bytes<Format>(input_.in);
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          const int chunk = block_ * kBlockChunks + part * 4 + lane % 4;
          const bool inside = chunk * kChunkBytes < static_cast<int>(row_bytes<Format>(input_.in));
          copy_16_bytes(stage + (part * 4 + half) * 32 + lane,
                        row + (inside ? chunk : 0) * kChunkBytes, inside);
        }
        if constexpr (Format::kGroupScales) {
          copy_4_bytes(scales(slot) + half * 32 + lane,
                       static_cast<const char*>(input_.scales) +
                           rows_[half] * group_scale_bytes(input_.in) + block_ * 16 +
                           (lane % 4) * 4);
        }
      }
      if (++block_ == end_) {
        block_ = begin_;
        ++pass_;
        enter_pass();
      }
    }
    commit_copies();
  }

  __device__ uint4* values(int slot) const {
    return reinterpret_cast<uint4*>(ring_ + slot * stage_bytes<Format>());
  }
  __device__ std::uint32_t* scales(int slot) const {
    return reinterpret_cast<std::uint32_t*>(values(slot) + kPassRows * kBlockChunks);
  }

 private:
  __device__ void enter_pass() {
    if (pass_ >= deal_.passes) return;
    const Pass pass = deal_.pass(pass_, group_);
#pragma unroll
    for (int half = 0; half < 4; ++half)
      rows_[half] = deal_.row(pass, half, static_cast<int>(threadIdx.x % 32) / 4);
  }

  const StreamInput& input_;
  const Dealt& deal_;
  char* ring_;
  int group_, begin_, end_, block_, pass_;
  int rows_[4];
};

// The part of x that a thread multiplies next: 16 bytes of each row g + 8 * tile.
template <int kTiles>
struct InputEights {
  uint4 tile[kTiles];

  __device__ void load(const StreamInput& input, int k) {
    const int g = static_cast<int>(threadIdx.x % 32) / 4;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      const int row = t * 8 + g;
      tile[t] = row < input.rows && k < input.in
                    ? *reinterpret_cast<const uint4*>(input.x +
                                                      static_cast<std::size_t>(row) * input.in + k)
                    : uint4{0, 0, 0, 0};
    }
  }
};

template <int kTiles>
using Sums = float[2][kTiles][4];

// Adds the products of eight weights of each of the thread's four rows.
template <class Format, int kEight, int kTiles>
__device__ __forceinline__ void add_eight(Sums<kTiles>& sums, const uint4 (&chunks)[4],
                                          const InputEights<kTiles>& x) {
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    const WeightPairs low = Format::template eight<kEight>(chunks[2 * m]);
    const WeightPairs high = Format::template eight<kEight>(chunks[2 * m + 1]);
#pragma unroll
    for (int t = 0; t < kTiles; ++t)
      multiply_add(sums[m][t], low.pair[0], high.pair[0], low.pair[1], high.pair[1], x.tile[t].x,
                   x.tile[t].y);
#pragma unroll
    for (int t = 0; t < kTiles; ++t)
      multiply_add(sums[m][t], low.pair[2], high.pair[2], low.pair[3], high.pair[3], x.tile[t].z,
                   x.tile[t].w);
  }
}

// The same for a format with a scale for 32 weights, which the eight of four threads are: their sum
// is formed apart, from what the offset of the stored weights contributes (the product of x with a
// matrix of that one value), and added in float32 times the scale of its row.
template <class Format, int kEight, int kTiles>
__device__ __forceinline__ void add_group(Sums<kTiles>& sums, const uint4 (&chunks)[4],
                                          const float (&scales)[4], const InputEights<kTiles>& x) {
  constexpr std::uint32_t kOffset = Format::kTwoOffsets;
  float offset[kTiles][4] = {};
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    multiply_add(offset[t], kOffset, kOffset, kOffset, kOffset, x.tile[t].x, x.tile[t].y);
    multiply_add(offset[t], kOffset, kOffset, kOffset, kOffset, x.tile[t].z, x.tile[t].w);
  }
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    const WeightPairs low = Format::template eight<kEight>(chunks[2 * m]);
    const WeightPairs high = Format::template eight<kEight>(chunks[2 * m + 1]);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      float sum[4] = {offset[t][0], offset[t][1], offset[t][2], offset[t][3]};
      multiply_add(sum, low.pair[0], high.pair[0], low.pair[1], high.pair[1], x.tile[t].x,
                   x.tile[t].y);
      multiply_add(sum, low.pair[2], high.pair[2], low.pair[3], high.pair[3], x.tile[t].z,
                   x.tile[t].w);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        sums[m][t][i] = __fmaf_rn(scales[2 * m + i / 2], sum[i], sums[m][t][i]);
    }
  }
}

// The scales of group `kEight` of half a block, for the thread's four rows; `stage` holds eight
// bf16 a row.
template <int kEight>
__device__ __forceinline__ void read_scales(float (&scales)[4], const std::uint32_t* stage,
                                            int part) {
  const int g = static_cast<int>(threadIdx.x % 32) / 4;
#pragma unroll
  for (int half = 0; half < 4; ++half) {
    const std::uint32_t two = stage[(half * 8 + g) * 4 + part * 2 + kEight / 2];
    scales[half] = __uint_as_float(kEight % 2 == 0 ? two << 16 : two & 0xffff0000U);
  }
}

// Steps of eight weights a row and thread in a K-block, and how many of them x is loaded ahead: a
// whole block where registers allow, since x comes from the cache between the weights' requests and
// takes about as long as they do.
template <class Format>
constexpr int kSteps = 2 * Format::kInChunk / 8;
template <class Format, int kTiles>
constexpr int kAhead = kSteps<Format> < 16 / kTiles ? kSteps<Format> : 16 / kTiles;

// Where in a row the thread's eight weights of step `step` of block `block` stand.
template <class Format>
__device__ __forceinline__ int place_of(int block, int step) {
  constexpr int kEights = Format::kInChunk / 8;
  return Format::place(
      block * kBlockChunks + step / kEights * 4 + static_cast<int>(threadIdx.x) % 4,
      step % kEights);
}

template <class Format, int kTiles>
using InputAhead = InputEights<kTiles>[kAhead<Format, kTiles>];

// Adds the products of one K-block. `x` holds its first steps on entry and those of the block
// `next` on exit.
template <class Format, int kTiles>
__device__ __forceinline__ void add_block(Sums<kTiles>& sums, const StreamInput& input,
                                          const uint4* values, const std::uint32_t* stage_scales,
                                          InputAhead<Format, kTiles>& x, int block, int next) {
  constexpr int kEights = Format::kInChunk / 8, kDepth = kAhead<Format, kTiles>;
  constexpr int kPartsAtOnce = kDepth > kEights || kEights < 4 ? 2 : 1;
  const int lane = threadIdx.x % 32;
#pragma unroll kPartsAtOnce
  for (int part = 0; part < 2; ++part) {
    uint4 chunks[4];
#pragma unroll
    for (int half = 0; half < 4; ++half) chunks[half] = values[(part * 4 + half) * 32 + lane];
    const auto step = [&]<int kEight>() {
      const int now = part * kEights + kEight, later = now + kDepth;
      InputEights<kTiles>& eights = x[(kPartsAtOnce == 2 ? now : kEight) % kDepth];
      const InputEights<kTiles> used = eights;
      eights.load(input,
                  place_of<Format>(later < kSteps<Format> ? block : next, later % kSteps<Format>));
      if constexpr (Format::kGroupScales) {
        float scales[4];
        read_scales<kEight>(scales, stage_scales, part);
        add_group<Format, kEight, kTiles>(sums, chunks, scales, used);
      } else {
        add_eight<Format, kEight, kTiles>(sums, chunks, used);
      }
    };
    step.template operator()<0>();
    if constexpr (kEights > 1) step.template operator()<1>();
    if constexpr (kEights > 2) {
      step.template operator()<2>();
      step.template operator()<3>();
    }
  }
}

__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

// What stands at `own` in the shared memory of block `rank` of the cluster.
__device__ __forceinline__ float4 read_of_block(const float4* own, int rank) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(own));
  std::uint32_t there;
  float4 value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
               : "r"(there)
               : "memory");
  return value;
}

// Sums of all warps, to be added: [warp][m][tile][lane]. Warp w of block b of a cluster holds slice
// b * kSlices + w / kGroups of K for the rows of group w % kGroups.
template <int kTiles>
struct Exchange {
  static constexpr int kGroups = cluster_of(kTiles);
  static constexpr int kSlices = kStreamWarps / kGroups;  // of K in a block
  static constexpr int kBuffers = kTiles == 1 ? 2 : 1;
  static constexpr int kQuads = 2 * kTiles * 32;
  static constexpr std::size_t kBytes = sizeof(float4) * kQuads * kStreamWarps * kBuffers;

  // With clusters, before the first pass and after the last one.
  static __device__ void open() {
    if constexpr (kGroups > 1) cluster_arrive();
  }
  static __device__ void close() {
    if constexpr (kGroups > 1) cluster_wait();
    __syncthreads();
  }

  static __device__ void publish(float4* buffer, const Sums<kTiles>& sums) {
    if constexpr (kGroups > 1) cluster_wait();  // all have read the pass before
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int t = 0; t < kTiles; ++t)
        buffer[warp * kQuads + (m * kTiles + t) * 32 + lane] = {sums[m][t][0], sums[m][t][1],
                                                                sums[m][t][2], sums[m][t][3]};
    if constexpr (kGroups > 1) {
      cluster_arrive();
      cluster_wait();
    } else {
      __syncthreads();
    }
  }

  static __device__ float4 part(const float4* buffer, int slice, int group, int quad) {
    const float4* own = buffer + (slice % kSlices * kGroups + group) * kQuads + quad;
    if constexpr (kGroups > 1) return read_of_block(own, slice / kSlices);
    return *own;
  }

  static __device__ void retire() {
    if constexpr (kGroups > 1)
      cluster_arrive();
    else if constexpr (kBuffers == 1)
      __syncthreads();
  }

  // Adds the warps' sums of the rows of this block's group, those of `pass`, and hands each quad
  // {(row, n), (row, n + 1), (row + 8, n), (row + 8, n + 1)} to one thread.
  template <class Format, class Dealt, class Tail>
  static __device__ void add_up(const float4* buffer, int group, const Pass& pass,
                                const Dealt& deal, const StreamInput& input, Tail& tail) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int turn = 0; turn < (kQuads + kStreamThreads - 1) / kStreamThreads; ++turn) {
      const int quad = turn * kStreamThreads + static_cast<int>(threadIdx.x);
      if (quad >= kQuads) break;
      float4 total = part(buffer, 0, group, quad);
#pragma unroll
      for (int slice = 1; slice < kStreamWarps; ++slice) {
        const float4 more = part(buffer, slice, group, quad);
        total = {total.x + more.x, total.y + more.y, total.z + more.z, total.w + more.w};
      }
      const int m = quad / (32 * kTiles), n = quad / 32 % kTiles * 8 + lane % 4 * 2;
      const int low = deal.row(pass, 2 * m, lane / 4), high = deal.row(pass, 2 * m + 1, lane / 4);
      if constexpr (Format::kRowScales) {
        const auto* scales = static_cast<const float*>(input.scales);
        if (low >= 0) total.x *= scales[low], total.y *= scales[low];
        if (high >= 0) total.z *= scales[high], total.w *= scales[high];
      }
      tail.take(turn, low, high, n, total);
    }
  }
};

template <class Format, int kTiles>
constexpr std::size_t stream_shared_bytes() {
  return kStreamWarps * ring_bytes<Format>() + Exchange<kTiles>::kBytes;
}

// `Tail` says what becomes of the sums: kPaired, take(turn, low, high, n, quad) for every
// quad of every pass (low, high: rows of W or -1; n may be beyond the last row of x), and
// finish(shared, input) after the last pass, called by all threads with the shared memory for its
// own use.
template <class Format, int kTiles, class Tail>
__global__ void __launch_bounds__(kStreamThreads)
    stream_kernel(const StreamInput input, Tail tail) {
  extern __shared__ __align__(128) char shared[];
  using Sharing = Exchange<kTiles>;
  constexpr int kGroups = Sharing::kGroups;
  const int warp = threadIdx.x / 32, rank = static_cast<int>(blockIdx.x) % kGroups;
  auto* exchange = reinterpret_cast<float4*>(shared + kStreamWarps * ring_bytes<Format>());

  using Dealt = Deal<Tail::kPaired, kGroups>;
  const Dealt deal(input.out);
  constexpr int kInBlock = kBlockChunks * Format::kInChunk;
  const int blocks = (input.in + kInBlock - 1) / kInBlock;
  const int slice = rank * Sharing::kSlices + warp / kGroups;
  const int begin = blocks * slice / kStreamWarps, end = blocks * (slice + 1) / kStreamWarps;
  WeightRing<Format, Dealt> ring(input, deal, warp % kGroups, shared + warp * ring_bytes<Format>(),
                                 begin, end);
  for (int stage = 0; stage < Format::kStages; ++stage) ring.fetch(stage);
  Sharing::open();
  let_next_kernel_start();
  wait_for_previous_kernels();

  InputAhead<Format, kTiles> x;
#pragma unroll
  for (int step = 0; step < kAhead<Format, kTiles>; ++step)
    x[step].load(input, place_of<Format>(begin, step));
  int slot = 0;
  for (int index = 0; index < deal.passes; ++index) {
    Sums<kTiles> sums = {};
    for (int block = begin; block < end; ++block) {
      wait_for_copies<Format::kStages - 1>();
      // Scales, unlike values, are read by other threads than the one that fetched them.
      if constexpr (Format::kGroupScales) __syncwarp();
      add_block<Format, kTiles>(sums, input, ring.values(slot), ring.scales(slot), x, block,
                                block + 1 == end ? begin : block + 1);
      if constexpr (Format::kGroupScales) __syncwarp();
      ring.fetch(slot);
      if (++slot == Format::kStages) slot = 0;
    }
    auto* const buffer = exchange + index % Sharing::kBuffers * Sharing::kQuads * kStreamWarps;
    Sharing::publish(buffer, sums);
    Sharing::template add_up<Format>(buffer, rank, deal.pass(index, rank), deal, input, tail);
    Sharing::retire();
  }
  Sharing::close();
  tail.finish(reinterpret_cast<char*>(exchange), input);
}

// Enqueues the kernel on at most `blocks_max` blocks, all of which run at the same time. The device
// says how many clusters fit: they may not span its larger units, which need not hold a multiple
// of four multiprocessors.
template <class Format, int kTiles, class Tail>
[[nodiscard]] cudaError_t launch_tiles(const StreamInput& input, const Tail& tail, int blocks_max,
                                       cudaStream_t stream) noexcept {
  constexpr int kCluster = cluster_of(kTiles);
  const auto kernel = stream_kernel<Format, kTiles, Tail>;
  LaunchShape shape{.blocks = dim3(kCluster),
                    .threads = dim3(kStreamThreads),
                    .shared_bytes = stream_shared_bytes<Format, kTiles>(),
                    .cluster = kCluster};
  int clusters = blocks_max;
  if (kCluster > 1) {
    const cudaError_t status = clusters_at_once(kernel, shape, clusters);
    if (status != cudaSuccess) return status;
    if (clusters > blocks_max / kCluster) clusters = blocks_max / kCluster;
    if (clusters < 1) clusters = 1;
  }
  const int items = Tail::kPaired ? input.out / 2 : input.out;
  if (clusters > items) clusters = items;
  shape.blocks = dim3(static_cast<unsigned>(clusters * kCluster));
  return launch(kernel, shape, stream, input, tail);
}

// Up to 64 rows.
template <class Format, class Tail>
[[nodiscard]] cudaError_t launch_stream(const StreamInput& input, const Tail& tail, int blocks_max,
                                        cudaStream_t stream) noexcept {
  if (input.rows <= 8) return launch_tiles<Format, 1>(input, tail, blocks_max, stream);
  if (input.rows <= 16) return launch_tiles<Format, 2>(input, tail, blocks_max, stream);
  if (input.rows <= 32) return launch_tiles<Format, 4>(input, tail, blocks_max, stream);
  return launch_tiles<Format, 8>(input, tail, blocks_max, stream);
}

}  // namespace captiond::kernels
