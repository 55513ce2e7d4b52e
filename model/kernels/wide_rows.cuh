#pragma once

#include <algorithm>
#include <cstdint>

#include "model/kernels/copy_barrier.cuh"
#include "model/kernels/copy_ring.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/shared_address.cuh"
#include "model/kernels/warpgroup_products.cuh"
#include "model/kernels/warpgroup_tiles.cuh"
#include "model/kernels/weight_format.cuh"
#include "model/kernels/wide_rows.h"

// x · Wᵀ of many rows in e4m3: a block makes tiles of 128 rows by some 256 lines of W, two
// warpgroups 64 rows each. The two blocks of a cluster have the same lines of W and neighbouring
// rows; each fetches half of the lines and the copy engine hands them to both. What becomes of the
// sums is the tail's: it leaves its results in shared memory, from where the copy engine stores
// them.
namespace captiond::kernels::wide {

inline constexpr int kBlockBytes = 128;  // of a line in a K-block
inline constexpr int kGroups = 2;        // warpgroups that multiply
inline constexpr int kGroupRows = 64;
inline constexpr int kTileRows = kGroups * kGroupRows;
inline constexpr int kCluster = 2;
inline constexpr int kTakers = kGroups * 128;
inline constexpr int kThreads = kTakers + 32;
inline constexpr unsigned kRowBytes = kTileRows * kBlockBytes;
inline constexpr unsigned kLeftBytes = kGroupRows * 256;  // of a warpgroup's results
inline constexpr unsigned kScaleBytes = 1024;             // of the scales of a tile's lines

struct Task {
  int row_tiles = 0;  // of a cluster, as `tiles`
  int tiles = 0;
  int k_blocks = 0;
  int rows = 0;
  const float* row_scales = nullptr;
};

// Where a block's tile stands: its first row, and its number among the tiles of lines.
struct TilePlace {
  int row, column;

  __device__ TilePlace(const Task& task, int tile, int rank)
      : row((tile % task.row_tiles * kCluster + rank) * kTileRows), column(tile / task.row_tiles) {}
};

// The shared memory, 1024-byte aligned; addresses are the same in both blocks.
template <int kLines>
struct Memory {
  static constexpr unsigned kWeightBytes = kLines * kBlockBytes;
  static constexpr unsigned kStageBytes = kRowBytes + kWeightBytes;
  static constexpr int kStages = 4;
  static constexpr unsigned kBytes =
      kStages * (kStageBytes + 16) + kGroups * (kLeftBytes + kScaleBytes);
  static_assert(kBytes <= 227 * 1024 && kLines * sizeof(float) <= kScaleBytes);

  unsigned base;
  __device__ unsigned rows(int stage) const {
    return base + static_cast<unsigned>(stage) * kStageBytes;
  }
  __device__ unsigned weights(int stage) const { return rows(stage) + kRowBytes; }
  __device__ unsigned left(int group) const {
    return rows(kStages) + static_cast<unsigned>(group) * kLeftBytes;
  }
  __device__ unsigned scales(int group) const {
    return left(kGroups) + static_cast<unsigned>(group) * kScaleBytes;
  }
  __device__ unsigned full(int stage) const {
    return scales(kGroups) + static_cast<unsigned>(stage) * 8U;
  }
  __device__ unsigned empty(int stage) const { return full(kStages + stage); }
};

__device__ __forceinline__ unsigned rank_in_cluster() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void wait_for_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;" ::
          : "memory");
}
// Arrives at the barrier of this address in block `rank` of the cluster.
__device__ __forceinline__ void arrive_at(unsigned barrier, unsigned rank) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(barrier),
      "r"(rank)
      : "memory");
}
inline constexpr unsigned kBoth = (1U << kCluster) - 1U;
// fetch_pairs() and fetch_box() into both blocks, and their barriers.
__device__ __forceinline__ void fetch_pairs_for_both(unsigned target, const CUtensorMap& map,
                                                     int column, int eight, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3, %3, %4}], [%5], %6;" ::"r"(target),
      "l"(&map), "r"(column), "r"(0), "r"(eight), "r"(barrier),
      "h"(static_cast<std::uint16_t>(kBoth))
      : "memory");
}
__device__ __forceinline__ void fetch_box_for_both(unsigned target, const CUtensorMap& map,
                                                   int column, int row, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(target),
      "l"(&map), "r"(column), "r"(row), "r"(barrier), "h"(static_cast<std::uint16_t>(kBoth))
      : "memory");
}
__device__ __forceinline__ void fetch_rows(unsigned target, const CUtensorMap& map, int column,
                                           int row, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(target),
      "l"(&map), "r"(column), "r"(row), "r"(barrier)
      : "memory");
}
// Stores a box at (column in bytes, row); what is outside of the matrix is left out.
__device__ __forceinline__ void store_box(const CUtensorMap& map, int column, int row,
                                          unsigned from) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map),
      "r"(column), "r"(row), "r"(from)
      : "memory");
}
// Makes what this thread wrote to shared memory visible to copies that are begun behind the next
// barrier.
__device__ __forceinline__ void show_to_copies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until the stores of this thread have read what they store.
__device__ __forceinline__ void wait_until_stored_from() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

// Four 8 x 8 matrices to shared memory: a lane says where line lane % 8 of matrix lane / 8 goes.
__device__ __forceinline__ void put_four(unsigned address, const std::uint32_t (&four)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(four[0]), "r"(four[1]), "r"(four[2]), "r"(four[3])
               : "memory");
}
__device__ __forceinline__ float2 two_at(unsigned address) {
  float2 two;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(two.x), "=f"(two.y) : "r"(address));
  return two;
}
__device__ __forceinline__ void meet_group(int group) {
  asm volatile("bar.sync %0, 128;" ::"r"(1 + group) : "memory");
}

template <class Tail>
__device__ __forceinline__ void feed(const Memory<Tail::kLines>& memory, const Task& task,
                                     const CUtensorMap& w, const CUtensorMap& x, int first,
                                     int stride) {
  using Of = Memory<Tail::kLines>;
  const unsigned rank = rank_in_cluster();
  constexpr int kHalf = Tail::kLines / kCluster;
  prefetch_map(w);
  prefetch_map(x);
  wait_for_previous_kernels();
  asm volatile("fence.proxy.async.global;" ::: "memory");
  RingPlace<Of::kStages> place;
  int fetched = 0;
  for (int tile = first; tile < task.tiles; tile += stride) {
    const TilePlace at(task, tile, static_cast<int>(rank));
    for (int block = 0; block < task.k_blocks; ++block, ++fetched, place.next()) {
      if (fetched >= Of::kStages) wait_at(memory.empty(place.stage), place.parity ^ 1U);
      const unsigned barrier = memory.full(place.stage);
      const int column = block * kBlockBytes;
      arrive_expecting(barrier, Of::kStageBytes);
      const unsigned to = memory.weights(place.stage) + rank * (Of::kWeightBytes / kCluster);
      const int half = at.column * kCluster + static_cast<int>(rank);
      fetch_rows(memory.rows(place.stage), x, column, at.row, barrier);
      if constexpr (Tail::kPaired)
        fetch_pairs_for_both(to, w, column, half * (kHalf / 16), barrier);
      else
        fetch_box_for_both(to, w, column, half * kHalf, barrier);
    }
  }
}

// Both blocks wait for all that take from a stage.
template <int kLines>
__device__ __forceinline__ void release(const Memory<kLines>& memory, int stage) {
  const unsigned lane = threadIdx.x % 32;
  if (lane < kCluster) arrive_at(memory.empty(stage), lane);
}

template <int kLines>
__device__ __forceinline__ void take(const Memory<kLines>& memory, const Task& task, int group,
                                     RingPlace<Memory<kLines>::kStages>& place,
                                     float (&sum)[kLines / 8][4]) {
  int before = 0;
  for (int block = 0; block < task.k_blocks; ++block, place.next()) {
    wait_at(memory.full(place.stage), place.parity);
    begin_products();
    const std::uint64_t a =
        operand(memory.rows(place.stage) + static_cast<unsigned>(group) * (kRowBytes / kGroups), 0);
    const std::uint64_t b = operand(memory.weights(place.stage), 0);
#pragma unroll
    for (unsigned step = 0; step < 4; ++step)
      multiply(E4m3Products{}, sum, a + step * 2, b + step * 2, block > 0 || step > 0);
    commit_products();
    wait_for_products<1>();
    if (block > 0) release(memory, before);
    before = place.stage;
  }
  wait_for_products<0>();
  release(memory, before);
  // Nothing reads the sums before this point.
#pragma unroll
  for (int i = 0; i < kLines / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) asm volatile("" : "+f"(sum[i][j])::"memory");
}

template <class Tail>
__global__ void __launch_bounds__(kThreads, 1)
    wide_kernel(const __grid_constant__ CUtensorMap w, const __grid_constant__ CUtensorMap x,
                const __grid_constant__ CUtensorMap y, const Task task, const Tail tail) {
  constexpr int kLines = Tail::kLines;
  using Of = Memory<kLines>;
  extern __shared__ __align__(1024) char shared[];
  const Of memory{shared_address(shared)};
  const int first = static_cast<int>(blockIdx.x) / kCluster;
  const int stride = static_cast<int>(gridDim.x) / kCluster;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Of::kStages; ++i) {
      begin_barrier(memory.full(i), 1);
      begin_barrier(memory.empty(i), kCluster * kTakers / 32);
    }
    show_barriers();
  }
  __syncthreads();
  wait_for_cluster();
  let_next_kernel_start();
  if (threadIdx.x >= kTakers) {
    if (threadIdx.x == kTakers) feed<Tail>(memory, task, w, x, first, stride);
    __syncwarp();
  } else {
    const int group = static_cast<int>(threadIdx.x) / 128;
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const int rank = static_cast<int>(rank_in_cluster());
    wait_for_previous_kernels();
    RingPlace<Of::kStages> place;
    for (int tile = first; tile < task.tiles; tile += stride) {
      const TilePlace at(task, tile, rank);
      const int row = at.row + group * kGroupRows, column = at.column;
      float of_row[2], of_line[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int mine = row + thread / 32 * 16 + thread % 32 / 4 + i * 8;
        of_row[i] = mine < task.rows ? task.row_scales[mine] : 0.0F;
        of_line[i] = tail.scale_of(column, thread * 2 + i);
      }
      float sum[kLines / 8][4];
      take(memory, task, group, place, sum);
      if (thread == 0) wait_until_stored_from();  // of the tile before
      asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(memory.scales(group) +
                                                            static_cast<unsigned>(thread) * 8U),
                   "f"(of_line[0]), "f"(of_line[1])
                   : "memory");
      meet_group(group);
      tail.leave(memory, y, group, column, row, sum, of_row);
    }
    if (thread == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
  }
  // Nobody leaves into whose memory the other still copies.
  __syncthreads();
  wait_for_cluster();
}

inline int parts(int whole, int part) { return (whole + part - 1) / part; }
// Tiles of a cluster.
inline int row_tiles_of(int rows) { return parts(rows, kCluster * kTileRows); }
inline int tiles_of(int rows, int out, int lines) { return row_tiles_of(rows) * parts(out, lines); }

template <class Tail>
cudaError_t launch_wide(const Matrix& w, const ManyRows& x, __nv_bfloat16* y, const Tail& tail,
                        cudaStream_t stream) {
  constexpr int kLines = Tail::kLines;
  if (w.format != MatrixFormat::kFp8 || w.values == nullptr || w.scales == nullptr ||
      x.x == nullptr || x.scales == nullptr || x.maps == nullptr || y == nullptr || x.rows < 1 ||
      x.blocks < kCluster || w.in <= 0 || w.in % 8 != 0 || w.out <= 0 ||
      (Tail::kPaired ? w.out / 2 : w.out) % 8 != 0)
    return cudaErrorInvalidValue;
  const std::size_t bytes = row_bytes<Fp8Weights>(w.in);
  const Task task{.row_tiles = row_tiles_of(x.rows),
                  .tiles = tiles_of(x.rows, w.out, kLines),
                  .k_blocks = parts(static_cast<int>(bytes), kBlockBytes),
                  .rows = x.rows,
                  .row_scales = x.scales};
  const int clusters = std::min(task.tiles, x.blocks / kCluster);
  const LaunchShape shape{.blocks = dim3(static_cast<unsigned>(clusters * kCluster)),
                          .threads = dim3(kThreads),
                          .shared_bytes = Memory<kLines>::kBytes,
                          .cluster = kCluster};
  constexpr int kHalf = kLines / kCluster;
  const CUtensorMap weights = Tail::kPaired
                                  ? x.maps->of_pairs(w.values, bytes, w.out / 2, kHalf / 16)
                                  : x.maps->of(w.values, bytes, w.out, kHalf);
  const CUtensorMap rows = x.maps->of(x.x, bytes, x.rows, kTileRows);
  return launch(wide_kernel<Tail>, shape, stream, weights, rows, tail.map(x, y), task, tail);
}

}  // namespace captiond::kernels::wide
