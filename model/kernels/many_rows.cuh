#pragma once

#include <algorithm>
#include <type_traits>

#include "model/kernels/many_rows.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/tile_ring.cuh"
#include "model/kernels/warpgroup_held.cuh"
#include "model/kernels/warpgroup_products.cuh"

// Products of up to 256 rows that read the weights once: (W · xᵀ) in tiles of 128 outputs and all
// rows. One warp feeds a ring of K-blocks of weights and of x, as the format of the weights has
// them; two warpgroups multiply 64 outputs each. The feeder begins with the weights, which no
// earlier kernel writes, and runs ahead into the next tile while a tail is written.
//
// Weights in bf16 and e4m3 are multiplied where they lie; int8 and int4 go through registers, where
// they become bf16 while the products of those before them run.
//
// A matrix of few outputs is split along K among the blocks of a cluster, which add their sums in
// the order of the splits through shared memory: so every shape occupies the device, and sums do
// not depend on timing. The split depends on the matrix and the device, not on the rows.
namespace captiond::kernels {

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

// Issues the products of a warpgroup's 64 outputs and of the rows of `sum`, the part-th so many of
// the tile, with the K-block of a stage, which is full; `add` to what is there.
template <class Products, class Shape, int kEights>
__device__ __forceinline__ void multiply_block(const TileRing<Shape>& ring, int stage, int part,
                                               float (&sum)[kEights][4], bool add) {
  constexpr unsigned kSteps = 4;      // of 32 bytes in a K-block
  constexpr unsigned kStepUnits = 2;  // of 16 bytes
  const unsigned half = threadIdx.x / 128 * (Shape::kWeightBytes / 2);
  const std::uint64_t a = operand(ring.stage(stage) + half, 0);
  const unsigned rows = static_cast<unsigned>(part * kEights * 8 * kPanelBytes);
  const std::uint64_t b = operand(ring.panel(stage, 0) + rows, 0);
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
    multiply_block<Products>(ring, stages[block], 0, chain, block > 0);
  commit_products();
  wait_for_products<0>();
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) release(ring, stages[block]);
#pragma unroll
  for (int i = 0; i < Shape::kRows / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] += chain[i][j];
}

// The same of a half of the rows and then of the other, as the registers have no room for all
// beside `sum`. One piece of code for every number of K-blocks: of two, the compiler would have
// the chains of both halves in registers at a time.
template <class Products, class Shape>
__device__ __forceinline__ void add_halves(const TileRing<Shape>& ring,
                                           RingPlace<Shape::kStages>& place, int blocks,
                                           float (&sum)[Shape::kRows / 8][4]) {
  constexpr int kEights = Shape::kRows / 16;
  const RingPlace<Shape::kStages> first = place;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float chain[kEights][4];
    begin_products();
    place = first;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, place.next()) {
      wait_at(ring.full(place.stage), place.parity);
      multiply_block<Products>(ring, place.stage, half, chain, block > 0);
    }
    commit_products();
    wait_for_products<0>();
#pragma unroll
    for (int i = 0; i < kEights; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[half * kEights + i][j] += chain[i][j];
  }
  place = first;
  for (int block = 0; block < blocks; ++block, place.next()) release(ring, place.stage);
}

// A warpgroup: adds the products of its 64 outputs over `blocks` K-blocks of a tile to `sum`.
template <class Shape>
__device__ __forceinline__ void take_blocks(const TileRing<Shape>& ring,
                                            RingPlace<Shape::kStages>& place, int blocks,
                                            float (&sum)[Shape::kRows / 8][4]) {
  using Products = typename Shape::Format::Products;
  constexpr int kChain = 2;  // K-blocks; one costs as much time, more would cost digits
  if constexpr (Products::kShortChains && Shape::kRows > 128) {
    for (int block = 0; block < blocks; block += kChain)
      add_halves<Products>(ring, place, min(kChain, blocks - block), sum);
  } else if constexpr (Products::kShortChains) {
    for (int block = 0; block + kChain <= blocks; block += kChain)
      add_chain<Products, kChain>(ring, place, sum);
    if (blocks % kChain != 0) add_chain<Products, 1>(ring, place, sum);
  } else {
    int before = place.stage;
    for (int block = 0; block < blocks; ++block, place.next()) {
      wait_at(ring.full(place.stage), place.parity);
      begin_products();
      multiply_block<Products>(ring, place.stage, 0, sum, true);
      commit_products();
      wait_for_products<1>();
      if (block > 0) release(ring, before);
      before = place.stage;
    }
    wait_for_products<0>();
    release(ring, before);
  }
}

// Issues the products of the lines that a warpgroup holds with half a K-block of x, whose panels
// begin at `panels` times 16 bytes.
template <class Shape>
__device__ __forceinline__ void multiply_half(unsigned panels, int half, const HeldHalf& held,
                                              float (&sum)[Shape::kRows / 8][4]) {
  using Held = typename Shape::Format::Held;
  constexpr unsigned kPanelUnits = Shape::kPanelSize / 16, kStepUnits = 2;  // of 16 bytes
  constexpr unsigned kPanelSteps = kPanelBytes / 16 / kStepUnits;
  begin_products();
#pragma unroll
  for (int step = 0; step < kHeldSteps; ++step) {
    const auto place = static_cast<unsigned>(Held::place(half, step));
    const unsigned b =
        panels + place / kPanelSteps * kPanelUnits + place % kPanelSteps * kStepUnits;
    multiply_held(sum, held.step[step], operand(0, 0) | b);
  }
  commit_products();
}

// take_blocks() of weights that go through registers: the halves of a block, of one stage or two,
// have registers of their own, so that one becomes bf16 while the products of the other run.
template <class Shape>
__device__ __forceinline__ void take_held(const TileRing<Shape>& ring,
                                          RingPlace<Shape::kStages>& place, int blocks,
                                          typename Shape::Format::Groups& groups,
                                          float (&sum)[Shape::kRows / 8][4]) {
  using Held = typename Shape::Format::Held;
  const unsigned offset = Held::offset();
  int before = place.stage;
  unsigned panels = 0, weights = 0;
  const auto enter = [&] {
    // The same in all lanes, which the compiler has to be shown: so it takes no vector registers.
    panels = __shfl_sync(~0U, ring.panel(place.stage, 0) / 16, 0);
    weights = ring.stage(place.stage) + offset;
    wait_at(ring.full(place.stage), place.parity);
  };
  for (int block = 0; block < blocks; ++block, place.next()) {
    groups.next();
    enter();
    const HeldHalf first = Held::held(Held::load(weights, 0), groups);
    multiply_half<Shape>(panels, 0, first, sum);
    wait_for_products<1>();
    if (block > 0) release(ring, before);
    if constexpr (Shape::Format::kBlockStages == 2) {
      before = place.stage;
      place.next();
      enter();
    }
    const HeldHalf second = Held::held(Held::load(weights, 1), groups);
    multiply_half<Shape>(panels, 1, second, sum);
    wait_for_products<1>();
    if constexpr (Shape::Format::kBlockStages == 2) release(ring, before);
    before = place.stage;
  }
  wait_for_products<0>();
  release(ring, before);
}

// Registers of a thread where a warpgroup feeds two that take: together those that 384 threads of
// 168 have.
inline constexpr int kFeederRegisters = 40, kTakerRegisters = 232;
static_assert(kFeederRegisters + 2 * kTakerRegisters == 3 * 168);

template <int kCount>
__device__ __forceinline__ void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void get_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
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

// Where the scales of groups stand of that line of a tile which a lane copies, the first 16 of a
// warp one each; in place of lines behind the last those of the last.
template <bool kPaired>
__device__ __forceinline__ const char* scales_of_line(const GroupScales& scales, int tile) {
  constexpr int kHalves = kPaired ? 2 : 1, kOfWarp = 16 / kHalves;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 16;
  const int most = scales.lines / kHalves;
  const int line = min(tile * (kTileOut / kHalves) + warp * kOfWarp + lane % kOfWarp, most - 1);
  return scales.data + static_cast<std::size_t>(line + lane / kOfWarp * most) * scales.line_bytes;
}

// A warpgroup: `sum` of its 64 outputs over this block's part of K of a tile.
template <bool kPaired, class Shape>
__device__ __forceinline__ void sum_tile(const TileRing<Shape>& ring,
                                         RingPlace<Shape::kStages>& stage, const TileInput& input,
                                         const TileTask& task, int tile,
                                         float (&sum)[Shape::kRows / 8][4]) {
#pragma unroll
  for (int i = 0; i < Shape::kRows / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] = 0.0F;
  if constexpr (Shape::Format::kHeld) {
    using Groups = typename Shape::Format::Groups;
    Groups groups(ring.group_scales());
    if constexpr (Groups::kBytes > 0)
      groups.begin(scales_of_line<kPaired>(input.groups, tile) +
                       static_cast<std::size_t>(task.first_block) * Groups::kLineScales,
                   task.blocks);
    take_held<Shape>(ring, stage, task.blocks, groups, sum);
  } else {
    take_blocks<Shape>(ring, stage, task.blocks, sum);
  }
}

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
template <class Shape, class Tail>
__global__ void __launch_bounds__(Shape::kThreads, 1)
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
    if constexpr (Shape::kGivesRegisters) keep_registers<kFeederRegisters>();
    if (threadIdx.x == kTakers) feeder.fetch_rest();
    if (split) {
      wait_for_cluster();
      wait_for_cluster();
    }
    return;
  }
  if constexpr (Shape::kGivesRegisters) get_registers<kTakerRegisters>();
  wait_for_previous_kernels();
  const int thread = static_cast<int>(threadIdx.x);
  const float of_row = thread < input.rows ? tail.scales.of_row(thread) : 0.0F;
  HeldScales scales{.outputs = {1.0F, 1.0F, 1.0F, 1.0F}, .rows = ring.row_scales()};
  const TileSums sums{ring.sums(), input.splits};
  const TilePlace place = TilePlace::of_thread<Tail::kPaired>();
  RingPlace<Shape::kStages> stage;
  auto kept = tail.template begin<kRows>(task);
  for (int tile = task.first_tile; tile < input.tiles; tile += task.tile_stride) {
    if constexpr (Shape::Format::kGroupBytes == 0)  // else they are in the weights
      scales.outputs = tail.outputs_of(tile, place, split);
    float sum[kRows / 8][4];
    sum_tile<Tail::kPaired, Shape>(ring, stage, input, task, tile, sum);
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

// Of w and so many rows.
template <class Shape, class Tail>
struct TileLaunch {
  using Format = typename Shape::Format;
  static constexpr std::size_t kBlockBytes = Format::kLineBytes * Format::kBlockStages;
  std::size_t line_bytes, row_bytes;
  TileInput input;
  LaunchShape shape;

  TileLaunch(const Matrix& w, const ManyRows& x)
      : line_bytes(captiond::kernels::row_bytes<typename Format::Weights>(w.in)),
        row_bytes(captiond::kernels::row_bytes<typename Format::Rows>(w.in)),
        input{.rows = x.rows,
              .tiles = (w.out + kTileOut - 1) / kTileOut,
              .k_blocks = static_cast<int>((line_bytes + kBlockBytes - 1) / kBlockBytes),
              .groups = {.data = static_cast<const char*>(w.scales),
                         .line_bytes = static_cast<int>(group_scale_bytes(w.in)),
                         .lines = w.out}} {
    if (!Tail::kKeepsSums) input.splits = splits_of(input, x.blocks);
    shape = {.blocks = dim3(static_cast<unsigned>(grid_of(input, x.blocks))),
             .threads = dim3(Shape::kThreads),
             .shared_bytes = Shape::kSharedBytes,
             .cluster = static_cast<unsigned>(input.splits)};
  }
};

template <class Format, int kRows, class Tail>
cudaError_t launch_tiles(const Matrix& w, const ManyRows& x, const Tail& tail,
                         cudaStream_t stream) {
  using Shape = TileShape<Format, kRows, Tail::kKeepsSums>;
  constexpr unsigned kLine = Shape::Format::kLineBytes;
  const TileLaunch<Shape, Tail> tiles(w, x);
  const CUtensorMap weights =
      Tail::kPaired ? x.maps->of_pairs(w.values, tiles.line_bytes, w.out / 2, 8, kLine)
                    : x.maps->of(w.values, tiles.line_bytes, w.out, kTileOut, kLine);
  const CUtensorMap rows = x.maps->of(x.x, tiles.row_bytes, x.rows, kRows, kPanelBytes);
  return launch(many_rows_kernel<Shape, Tail>, tiles.shape, stream, weights, rows, tiles.input,
                tail);
}

// Whether all blocks of such a launch find room at once.
template <class Format, int kRows, class Tail>
cudaError_t fit_tiles(const Matrix& w, const ManyRows& x, bool& fit) {
  using Shape = TileShape<Format, kRows, Tail::kKeepsSums>;
  const TileLaunch<Shape, Tail> tiles(w, x);
  int clusters = 0;
  const cudaError_t status = clusters_at_once(many_rows_kernel<Shape, Tail>, tiles.shape, clusters);
  fit = status == cudaSuccess &&
        static_cast<unsigned>(clusters) * tiles.shape.cluster >= tiles.shape.blocks.x;
  return status;
}

// Rows of one launch of a tail.
template <class Tail>
inline constexpr int kRowsMax = Tail::kKeepsSums ? kHeadRowsMax : kManyRowsMax;

// Calls body with the rows of the tiles that take so many, of kMost at most.
template <int kMost, class Body>
cudaError_t with_tile_rows(int rows, const Body& body) {
  if constexpr (kMost > 128) {
    if (rows > 192) return body(std::integral_constant<int, kManyRowsMax>{});
    if (rows > 128) return body(std::integral_constant<int, 192>{});
  }
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
      return body(std::integral_constant<int, 128>{});
  }
}

// Calls body with how the tiles take a format.
template <class Body>
cudaError_t with_tile_format(MatrixFormat format, const Body& body) {
  switch (format) {
    case MatrixFormat::kBf16:
      return body(Bf16Tiles{});
    case MatrixFormat::kFp8:
      return body(Fp8Tiles{});
    case MatrixFormat::kInt8:
      return body(Int8Tiles{});
    case MatrixFormat::kInt4:
      return body(Int4Tiles{});
  }
  return cudaErrorInvalidValue;
}

template <class Format, class Tail>
cudaError_t launch_rows(const Matrix& w, const ManyRows& x, const Tail& tail, cudaStream_t stream) {
  return with_tile_rows<kRowsMax<Tail>>(x.rows, [&](auto rows) {
    return launch_tiles<Format, decltype(rows)::value>(w, x, tail, stream);
  });
}

template <class Tail>
[[nodiscard]] cudaError_t launch_many(const Matrix& w, const ManyRows& x, const Tail& tail,
                                      cudaStream_t stream) {
  const bool scaled = (w.format != MatrixFormat::kBf16) == (w.scales != nullptr) &&
                      (w.format == MatrixFormat::kFp8) == (x.scales != nullptr);
  const int multiple = w.format == MatrixFormat::kInt4 ? 32 : 8;
  if (!scaled || w.values == nullptr || x.x == nullptr || x.maps == nullptr || x.rows < 1 ||
      x.rows > kRowsMax<Tail> || x.blocks < 1 || w.in <= 0 || w.in % multiple != 0 || w.out <= 0 ||
      (Tail::kPaired ? w.out / 2 : w.out) % 8 != 0)
    return cudaErrorInvalidValue;
  return with_tile_format(
      w.format, [&](auto format) { return launch_rows<decltype(format)>(w, x, tail, stream); });
}

struct alignas(8) FourBf16 {
  __nv_bfloat162 value[2];
};

// The scales of outputs and rows; 1 where a format has none.
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
  const bool of_groups = w.format == MatrixFormat::kInt4;
  return {of_groups ? nullptr : static_cast<const float*>(w.scales), x.scales};
}

}  // namespace captiond::kernels
