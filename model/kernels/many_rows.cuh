#pragma once

#include <algorithm>
#include <type_traits>

#include "model/kernels/copy_barrier.cuh"
#include "model/kernels/copy_ring.cuh"
#include "model/kernels/grid_arrivals.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/shared_address.cuh"
#include "model/kernels/takers.cuh"
#include "model/kernels/warpgroup_products.cuh"
#include "model/kernels/warpgroup_tiles.cuh"
#include "model/kernels/weight_format.cuh"

// Products of up to 128 rows that read the weights once: (W · xᵀ) in tiles of 128 outputs and all
// rows. One warp feeds a ring of K-blocks, 128 bytes wide, of weights and of x; two warpgroups
// multiply 64 outputs each. The feeder begins with the weights, which no earlier kernel writes,
// and runs ahead into the next tile while a tail is written.
//
// A matrix of few outputs is split along K among the blocks of a cluster, which add their sums in
// the order of the splits through shared memory: so every shape occupies the device, and sums do
// not depend on timing. The split depends on the matrix and the device, not on the rows.
namespace captiond::kernels {

inline constexpr int kTileOut = 128;
inline constexpr int kBlockBytes = 128;  // of a row in a K-block
inline constexpr int kTileThreads = kTakers + 32;
inline constexpr int kSplitsMax = 4;
static_assert(kSplitsMax * 128 <= kSplitArrivalBytes);

// The shared memory of a block. `kKeepsSums`: the sums of a tile have a place of their own, else
// they stand in the ring, once all that comes through it has been taken.
template <int kTileRows, bool kKeepsSums>
struct TileShape {
  static constexpr int kRows = kTileRows;
  static constexpr unsigned kWeightBytes = kTileOut * kBlockBytes;
  static constexpr unsigned kStageBytes = kWeightBytes + kRows * kBlockBytes;
  static constexpr unsigned kSumBytes = kKeepsSums ? kRows * kTileOut * sizeof(float) : 0;
  static constexpr unsigned kSharedMax = 227 * 1024;
  // Barriers, the scales of rows, and the way to a multiple of 1024.
  static constexpr unsigned kRest = 2048;
  static constexpr int kStages = std::min<int>(10, (kSharedMax - kSumBytes - kRest) / kStageBytes);
  static constexpr unsigned kSharedBytes = kStages * kStageBytes + kSumBytes + kRest;
  static_assert(kKeepsSums || kStages * kStageBytes >= kRows * kTileOut * sizeof(float));
};

struct TileInput {
  int rows = 0;
  int tiles = 0;
  int k_blocks = 0;
  int splits = 1;  // of K: blocks of a cluster
};

// What a block of the grid does: one K-range of every tile_stride-th tile.
struct TileTask {
  int split, first_tile, tile_stride, first_block, blocks;

  __device__ explicit TileTask(const TileInput& input) {
    split = static_cast<int>(blockIdx.x) % input.splits;
    first_tile = static_cast<int>(blockIdx.x) / input.splits;
    tile_stride = static_cast<int>(gridDim.x) / input.splits;
    first_block = input.k_blocks * split / input.splits;
    blocks = input.k_blocks * (split + 1) / input.splits - first_block;
  }
};

__device__ __forceinline__ void wait_for_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;" ::
          : "memory");
}

// The sums of a tile, [row][output] in the shared memory of the blocks that split it. Outputs are
// permuted within 32 by the row, so that the lanes of a warp store to different banks.
struct TileSums {
  float* data = nullptr;  // of this block
  int splits = 1;

  static __device__ int place(int row, int output) {
    return row * kTileOut + (output ^ (row / 2 % 4 * 8));
  }
  // Of four outputs from `output`, a multiple of four; the splits in their order.
  __device__ float4 four(int row, int output) const {
    const float* const mine = data + place(row, output);
    if (splits == 1) return *reinterpret_cast<const float4*>(mine);
    float4 sum = {0.0F, 0.0F, 0.0F, 0.0F};
    for (int split = 0; split < splits; ++split) {
      const float4 part = *static_cast<const float4*>(
          __cluster_map_shared_rank(mine, static_cast<unsigned>(split)));
      sum = {sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w};
    }
    return sum;
  }
};

// Stages, sums, barriers.
template <class Shape>
struct TileRing {
  unsigned base;
  char* memory;

  __device__ explicit TileRing(char* shared)
      : base((shared_address(shared) + 1023U) & ~1023U),
        memory(shared + (base - shared_address(shared))) {}
  __device__ unsigned stage(int index) const {
    return base + static_cast<unsigned>(index) * Shape::kStageBytes;
  }
  __device__ float* sums() const {
    return reinterpret_cast<float*>(
        memory + (Shape::kSumBytes > 0 ? Shape::kStages * Shape::kStageBytes : 0));
  }
  __device__ unsigned full(int index) const {
    return stage(Shape::kStages) + Shape::kSumBytes + static_cast<unsigned>(index) * 8U;
  }
  __device__ unsigned empty(int index) const { return full(Shape::kStages + index); }
  // The scales of the rows.
  __device__ float* row_scales() const {
    return reinterpret_cast<float*>(memory + (empty(Shape::kStages) - base));
  }

  __device__ void begin() const {
    for (int i = 0; i < Shape::kStages; ++i) {
      begin_barrier(full(i), 1);
      begin_barrier(empty(i), kTakerWarps);
    }
    show_barriers();
  }
};

// One thread that fetches all K-blocks of this block's tiles in their order.
template <class Shape, bool kPaired>
struct Feeder {
  const TileRing<Shape>& ring;
  const CUtensorMap& w;
  const CUtensorMap& x;
  const TileInput& input;
  const TileTask& task;
  std::uint64_t once = read_once();
  std::uint64_t often = read_often();

  // What fits into the ring before anything is known about x.
  __device__ int ahead() const { return min(Shape::kStages, task.blocks); }
  __device__ void fetch_first_weights() const {
    prefetch_map(x);
    for (int i = 0; i < ahead(); ++i) fetch_weights(i, task.first_tile, task.first_block + i);
  }
  __device__ void fetch_rest() const {
    wait_for_previous_kernels();
    asm volatile("fence.proxy.async.global;" ::: "memory");
    for (int i = 0; i < ahead(); ++i) fetch_rows(i, task.first_block + i);
    RingPlace<Shape::kStages> place;
    int fetched = 0;
    for (int tile = task.first_tile; tile < input.tiles; tile += task.tile_stride)
      for (int block = 0; block < task.blocks; ++block, ++fetched, place.next()) {
        if (fetched < ahead()) continue;
        if (fetched >= Shape::kStages) wait_at(ring.empty(place.stage), place.parity ^ 1U);
        fetch_weights(place.stage, tile, task.first_block + block);
        fetch_rows(place.stage, task.first_block + block);
      }
  }

 private:
  __device__ void fetch_weights(int stage, int tile, int block) const {
    const unsigned barrier = ring.full(stage);
    arrive_expecting(barrier, Shape::kStageBytes);
    if constexpr (kPaired)
      fetch_pairs(ring.stage(stage), w, block * kBlockBytes, tile * (kTileOut / 16), barrier, once);
    else
      fetch_box(ring.stage(stage), w, block * kBlockBytes, tile * kTileOut, barrier, once);
  }
  __device__ void fetch_rows(int stage, int block) const {
    fetch_box(ring.stage(stage) + Shape::kWeightBytes, x, block * kBlockBytes, 0, ring.full(stage),
              often);
  }
};

// Issues the products of a warpgroup's 64 outputs with the K-block of a stage, which is full; `add`
// to what is there.
template <class Products, class Shape>
__device__ __forceinline__ void multiply_block(const TileRing<Shape>& ring, int stage,
                                               float (&sum)[Shape::kRows / 8][4], bool add) {
  constexpr unsigned kSteps = 4;      // of 32 bytes in a K-block
  constexpr unsigned kStepUnits = 2;  // of 16 bytes
  const unsigned half = threadIdx.x / 128 * (Shape::kWeightBytes / 2);
  const std::uint64_t a = operand(ring.stage(stage) + half, 0);
  const std::uint64_t b = operand(ring.stage(stage) + Shape::kWeightBytes, 0);
#pragma unroll
  for (unsigned step = 0; step < kSteps; ++step)
    multiply(Products{}, sum, a + step * kStepUnits, b + step * kStepUnits, add || step > 0);
}

template <class Shape>
__device__ __forceinline__ void release(const TileRing<Shape>& ring, int stage) {
  if (threadIdx.x % 32 == 0) arrive(ring.empty(stage));
}

// A chain of products over kBlocks K-blocks, added to `sum` in float32.
template <class Products, int kBlocks, class Shape>
__device__ __forceinline__ void add_chain(const TileRing<Shape>& ring,
                                          RingPlace<Shape::kStages>& place,
                                          float (&sum)[Shape::kRows / 8][4]) {
  float chain[Shape::kRows / 8][4];
  int stages[kBlocks];
#pragma unroll
  for (int block = 0; block < kBlocks; ++block, place.next()) {
    stages[block] = place.stage;
    wait_at(ring.full(place.stage), place.parity);
  }
  begin_products();
#pragma unroll
  for (int block = 0; block < kBlocks; ++block)
    multiply_block<Products>(ring, stages[block], chain, block > 0);
  commit_products();
  wait_for_products<0>();
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) release(ring, stages[block]);
#pragma unroll
  for (int i = 0; i < Shape::kRows / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] += chain[i][j];
}

// A warpgroup: `sum` of its 64 outputs over `blocks` K-blocks of a tile.
template <class Products, class Shape>
__device__ __forceinline__ void take_blocks(const TileRing<Shape>& ring,
                                            RingPlace<Shape::kStages>& place, int blocks,
                                            float (&sum)[Shape::kRows / 8][4]) {
#pragma unroll
  for (int i = 0; i < Shape::kRows / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] = 0.0F;
  if constexpr (Products::kShortChains) {
    constexpr int kChain = 2;  // K-blocks; one costs as much time, more would cost digits
    for (int block = 0; block + kChain <= blocks; block += kChain)
      add_chain<Products, kChain>(ring, place, sum);
    if (blocks % kChain != 0) add_chain<Products, 1>(ring, place, sum);
  } else {
    int before = place.stage;
    for (int block = 0; block < blocks; ++block, place.next()) {
      wait_at(ring.full(place.stage), place.parity);
      begin_products();
      multiply_block<Products>(ring, place.stage, sum, true);
      commit_products();
      wait_for_products<1>();
      if (block > 0) release(ring, before);
      before = place.stage;
    }
    wait_for_products<0>();
    release(ring, before);
  }
}

// Where in a tile a thread's sums stand: rows i * 8 + row and the next, outputs `output` and
// `other`. In a paired tile, a warp's first eight are gate, its other eight the up that belongs to
// them; both are counted from 0, up 64 further.
struct TilePlace {
  int row, output, other;

  template <bool kPaired>
  static __device__ TilePlace of_thread() {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int output = warp * (kPaired ? 8 : 16) + lane / 4;
    return {lane % 4 * 2, output, output + (kPaired ? kTileOut / 2 : 8)};
  }
};

template <int kRows>
__device__ __forceinline__ void put_sums(float* sums, const float (&sum)[kRows / 8][4],
                                         const TilePlace& place) {
#pragma unroll
  for (int i = 0; i < kRows / 8; ++i) {
    const int row = i * 8 + place.row;
    sums[TileSums::place(row, place.output)] = sum[i][0];
    sums[TileSums::place(row + 1, place.output)] = sum[i][1];
    sums[TileSums::place(row, place.other)] = sum[i][2];
    sums[TileSums::place(row + 1, place.other)] = sum[i][3];
  }
}

// The scales that a thread needs at the end of a tile, requested at its beginning: up to four of
// outputs, as its tail asks for them, and those of the rows in shared memory.
struct HeldScales {
  float4 outputs;
  const float* rows;
};

// The tail of a matrix that is split takes, of the one tile, the sums of rows `first` … `last` - 1
// with all taker threads; else those of all rows, tile by tile, and at the end what it kept. If it
// keeps no sums it takes them from the registers that they come about in.
template <class Products, class Shape, class Tail>
__global__ void __launch_bounds__(kTileThreads, 1)
    many_rows_kernel(const __grid_constant__ CUtensorMap w, const __grid_constant__ CUtensorMap x,
                     const TileInput input, const Tail tail) {
  constexpr int kRows = Shape::kRows;
  extern __shared__ char memory[];
  const TileRing<Shape> ring(memory);
  const TileTask task(input);
  const Feeder<Shape, Tail::kPaired> feeder{ring, w, x, input, task};
  const bool split = input.splits > 1;
  if (threadIdx.x == kTakers) {
    ring.begin();
    feeder.fetch_first_weights();
  }
  __syncthreads();
  let_next_kernel_start();
  if (threadIdx.x >= kTakers) {
    if (threadIdx.x == kTakers) feeder.fetch_rest();
    if (split) {
      wait_for_cluster();
      wait_for_cluster();
    }
    return;
  }
  wait_for_previous_kernels();
  const int thread = static_cast<int>(threadIdx.x);
  const float of_row = thread < input.rows ? tail.scales.of_row(thread) : 0.0F;
  HeldScales scales{.outputs = {}, .rows = ring.row_scales()};
  const TileSums sums{ring.sums(), input.splits};
  const TilePlace place = TilePlace::of_thread<Tail::kPaired>();
  RingPlace<Shape::kStages> stage;
  auto kept = tail.template begin<kRows>(task);
  for (int tile = task.first_tile; tile < input.tiles; tile += task.tile_stride) {
    scales.outputs = tail.outputs_of(tile, place, split);
    float sum[kRows / 8][4];
    take_blocks<Products, Shape>(ring, stage, task.blocks, sum);
    if (tile == task.first_tile) {
      if (thread < kRows) ring.row_scales()[thread] = of_row;
      wait_for_takers();
    }
    if constexpr (Tail::kKeepsSums) {
      put_sums<kRows>(sums.data, sum, place);
      wait_for_takers();
      tail.template take<kRows>(sums, scales, tile, 0, input.rows, kept);
      wait_for_takers();
    } else if (!split) {
      tail.template take_own<kRows>(sum, scales, tile, place, input.rows, kept);
    } else {
      wait_for_takers();  // of the last stages, where the sums go
      put_sums<kRows>(sums.data, sum, place);
      wait_for_cluster();  // the feeders have ended when they wait
      const int last = min(input.rows, kRows * (task.split + 1) / input.splits);
      tail.template take<kRows>(sums, scales, tile, kRows * task.split / input.splits, last, kept);
    }
  }
  tail.template finish<kRows>(kept, input.rows);
  tail.template after<kRows>(kept, task, input);
  if (split) wait_for_cluster();  // nobody leaves whose memory others still read
}

// Tiles that leave multiprocessors idle are split along K, as long as all run at once.
inline int splits_of(const TileInput& input, int blocks) {
  return std::clamp(blocks / input.tiles, 1, std::min(kSplitsMax, input.k_blocks));
}

// Blocks of the grid: all of a split matrix, else as many as run at once.
inline int grid_of(const TileInput& input, int blocks) {
  return input.splits > 1 ? input.tiles * input.splits : std::min(input.tiles, blocks);
}

// Of w in a format and so many rows.
template <class Shape, class Tail>
struct TileLaunch {
  std::size_t row_bytes;
  TileInput input;
  LaunchShape shape;

  TileLaunch(const Matrix& w, const ManyRows& x)
      : row_bytes(w.format == MatrixFormat::kFp8
                      ? captiond::kernels::row_bytes<Fp8Weights>(w.in)
                      : static_cast<std::size_t>(w.in) * sizeof(__nv_bfloat16)),
        input{.rows = x.rows,
              .tiles = (w.out + kTileOut - 1) / kTileOut,
              .k_blocks = static_cast<int>((row_bytes + kBlockBytes - 1) / kBlockBytes)} {
    if (!Tail::kKeepsSums) input.splits = splits_of(input, x.blocks);
    shape = {.blocks = dim3(static_cast<unsigned>(grid_of(input, x.blocks))),
             .threads = dim3(kTileThreads),
             .shared_bytes = Shape::kSharedBytes,
             .cluster = static_cast<unsigned>(input.splits)};
  }
};

template <class Products, int kRows, class Tail>
cudaError_t launch_tiles(const Matrix& w, const ManyRows& x, const Tail& tail,
                         cudaStream_t stream) {
  using Shape = TileShape<kRows, Tail::kKeepsSums>;
  const TileLaunch<Shape, Tail> tiles(w, x);
  const CUtensorMap weights = Tail::kPaired
                                  ? x.maps->of_pairs(w.values, tiles.row_bytes, w.out / 2, 8)
                                  : x.maps->of(w.values, tiles.row_bytes, w.out, kTileOut);
  const CUtensorMap rows = x.maps->of(x.x, tiles.row_bytes, x.rows, kRows);
  return launch(many_rows_kernel<Products, Shape, Tail>, tiles.shape, stream, weights, rows,
                tiles.input, tail);
}

// Whether all blocks of such a launch find room at once.
template <class Products, int kRows, class Tail>
cudaError_t fit_tiles(const Matrix& w, const ManyRows& x, bool& fit) {
  using Shape = TileShape<kRows, Tail::kKeepsSums>;
  const TileLaunch<Shape, Tail> tiles(w, x);
  int clusters = 0;
  const cudaError_t status =
      clusters_at_once(many_rows_kernel<Products, Shape, Tail>, tiles.shape, clusters);
  fit = status == cudaSuccess &&
        static_cast<unsigned>(clusters) * tiles.shape.cluster >= tiles.shape.blocks.x;
  return status;
}

// Calls body with the rows of the tiles that take so many.
template <class Body>
cudaError_t with_tile_rows(int rows, const Body& body) {
  switch (tile_rows_of(rows)) {
    case 8:
      return body(std::integral_constant<int, 8>{});
    case 16:
      return body(std::integral_constant<int, 16>{});
    case 32:
      return body(std::integral_constant<int, 32>{});
    case 64:
      return body(std::integral_constant<int, 64>{});
    case 96:
      return body(std::integral_constant<int, 96>{});
    case 104:
      return body(std::integral_constant<int, 104>{});
    case 112:
      return body(std::integral_constant<int, 112>{});
    default:
      return body(std::integral_constant<int, kManyRowsMax>{});
  }
}

template <class Products, class Tail>
cudaError_t launch_rows(const Matrix& w, const ManyRows& x, const Tail& tail, cudaStream_t stream) {
  return with_tile_rows(x.rows, [&](auto rows) {
    return launch_tiles<Products, decltype(rows)::value>(w, x, tail, stream);
  });
}

template <class Tail>
[[nodiscard]] cudaError_t launch_many(const Matrix& w, const ManyRows& x, const Tail& tail,
                                      cudaStream_t stream) {
  const bool fp8 = w.format == MatrixFormat::kFp8;
  const bool scaled = fp8 == (w.scales != nullptr) && fp8 == (x.scales != nullptr);
  if ((!fp8 && w.format != MatrixFormat::kBf16) || !scaled || w.values == nullptr ||
      x.x == nullptr || x.maps == nullptr || x.rows < 1 || x.rows > kManyRowsMax || x.blocks < 1 ||
      w.in <= 0 || w.in % 8 != 0 || w.out <= 0 || (Tail::kPaired ? w.out / 2 : w.out) % 8 != 0)
    return cudaErrorInvalidValue;
  return fp8 ? launch_rows<E4m3Products>(w, x, tail, stream)
             : launch_rows<Bf16Products>(w, x, tail, stream);
}

struct alignas(8) FourBf16 {
  __nv_bfloat162 value[2];
};

// The scales of outputs and rows; 1 in kBf16.
struct TileScales {
  const float* w = nullptr;
  const float* x = nullptr;

  __device__ float4 of_outputs(int output) const {
    if (w == nullptr) return {1.0F, 1.0F, 1.0F, 1.0F};
    return *reinterpret_cast<const float4*>(w + output);
  }
  __device__ float of_output(int output) const { return w == nullptr ? 1.0F : w[output]; }
  __device__ float of_row(int row) const { return x == nullptr ? 1.0F : x[row]; }
};

__device__ __forceinline__ float4 scaled(const float4& sum, const float4& outputs, float row) {
  return {sum.x * outputs.x * row, sum.y * outputs.y * row, sum.z * outputs.z * row,
          sum.w * outputs.w * row};
}

// softcap * tanh(sum / softcap) within 1e-6 * softcap, or the sum when softcap is 0.
__device__ __forceinline__ float softcapped(float sum, float softcap) {
  if (!(softcap > 0.0F)) return sum;
  return softcap - __fdividef(2.0F * softcap, 1.0F + __expf(sum * (2.0F / softcap)));
}

// Two bf16 values of neighbouring outputs of one row from those of two neighbouring rows of this
// lane's output: lanes whose output is even get the first row, the others the second. The lane of
// the neighbouring output is four further.
__device__ __forceinline__ __nv_bfloat162 of_one_row(__nv_bfloat162 two_rows, bool even) {
  const unsigned mine = *reinterpret_cast<const unsigned*>(&two_rows);
  const unsigned other = __shfl_xor_sync(~0U, mine, 4);
  const unsigned pair = __byte_perm(mine, other, even ? 0x5410U : 0x3276U);
  return *reinterpret_cast<const __nv_bfloat162*>(&pair);
}

// A tail that keeps nothing from tile to tile.
struct NothingKept {};

inline TileScales scales_of(const Matrix& w, const ManyRows& x) {
  return {static_cast<const float*>(w.scales), x.scales};
}

}  // namespace captiond::kernels
