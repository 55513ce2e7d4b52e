#pragma once

#include <algorithm>
#include <type_traits>

#include "model/kernels/copy_barrier.cuh"
#include "model/kernels/copy_ring.cuh"
#include "model/kernels/grid_arrivals.h"
#include "model/kernels/held_weights.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/shared_address.cuh"
#include "model/kernels/takers.cuh"
#include "model/kernels/warpgroup_tiles.cuh"
#include "model/kernels/weight_format.cuh"

// The ring of K-blocks of weights and of x that the tiles of many_rows.cuh take, by format of the
// weights, and the thread that feeds it.
namespace captiond::kernels {

inline constexpr int kTileOut = 128;
inline constexpr int kPanelBytes = 128;  // of a row of x
inline constexpr int kSplitsMax = 4;
static_assert(kSplitsMax * 128 <= kSplitArrivalBytes);

// How the tiles take a format of weights. A stage is kLineBytes of a row of weights and kPanels
// panels of x, whose rows are stored as `Rows` says; a K-block is kBlockStages of them.
struct Bf16Tiles {
  using Products = Bf16Products;
  using Weights = Bf16Weights;
  using Rows = Bf16Weights;
  static constexpr bool kHeld = false;  // in registers
  static constexpr unsigned kLineBytes = 128;
  static constexpr int kPanels = 1;
  static constexpr int kBlockStages = 1;
  static constexpr unsigned kGroupBytes = 0;
};
struct Fp8Tiles {
  using Products = E4m3Products;
  using Weights = Fp8Weights;
  using Rows = Fp8Weights;
  static constexpr bool kHeld = false;
  static constexpr unsigned kLineBytes = 128;
  static constexpr int kPanels = 1;
  static constexpr int kBlockStages = 1;
  static constexpr unsigned kGroupBytes = 0;
};
template <int kStagesOfBlock>
struct Int8TilesIn {
  using Held = HeldInt8<128 / kStagesOfBlock>;
  using Groups = NoGroups;
  using Weights = Int8Weights;
  using Rows = Bf16Weights;
  static constexpr bool kHeld = true;
  static constexpr unsigned kLineBytes = Held::kLineBytes;
  static constexpr int kPanels = 2 / kStagesOfBlock;
  static constexpr int kBlockStages = kStagesOfBlock;
  static constexpr unsigned kGroupBytes = Groups::kBytes;
};
using Int8Tiles = Int8TilesIn<1>;
struct Int4Tiles {
  using Held = HeldInt4;
  using Groups = GroupsOfLines;
  using Weights = Int4Weights;
  using Rows = Bf16Weights;
  static constexpr bool kHeld = true;
  static constexpr unsigned kLineBytes = Held::kLineBytes;
  static constexpr int kPanels = 2;
  static constexpr int kBlockStages = 1;
  static constexpr unsigned kGroupBytes = Groups::kBytes;
};

// With more rows than 128, whole K-blocks of int8 and their two panels of x would leave room for
// two or three stages.
template <class Format, int kRows>
using FormatOfRows =
    std::conditional_t<std::is_same_v<Format, Int8Tiles> && (kRows > 128), Int8TilesIn<2>, Format>;

// The shared memory of a block. `kKeepsSums`: the sums of a tile have a place of their own, else
// they stand in the ring, once all that comes through it has been taken.
template <class TileFormat, int kTileRows, bool kKeepsSums>
struct TileShape {
  using Format = FormatOfRows<TileFormat, kTileRows>;
  static constexpr int kRows = kTileRows;
  // More rows than 128 need more registers than nine warps may have, but for bf16: then the feeder
  // has a warpgroup of its own, which gives most of its registers to the takers.
  static constexpr bool kGivesRegisters = kRows > 128 && !std::is_same_v<Format, Bf16Tiles>;
  static constexpr int kThreads = kTakers + (kGivesRegisters ? 128 : 32);
  static constexpr unsigned kWeightBytes = kTileOut * Format::kLineBytes;
  static constexpr unsigned kPanelSize = kRows * kPanelBytes;
  static constexpr unsigned kStageBytes = kWeightBytes + Format::kPanels * kPanelSize;
  static constexpr unsigned kSumBytes = kKeepsSums ? kRows * kTileOut * sizeof(float) : 0;
  static constexpr unsigned kSharedMax = 227 * 1024;
  // Barriers, the scales of rows and of groups, and the way to a multiple of 1024.
  static constexpr unsigned kRest =
      1536 + std::max(kRows, 128) * sizeof(float) + Format::kGroupBytes;
  static constexpr int kStages = std::min<int>(10, (kSharedMax - kSumBytes - kRest) / kStageBytes);
  static constexpr unsigned kSharedBytes = kStages * kStageBytes + kSumBytes + kRest;
  static_assert(kKeepsSums || kStages * kStageBytes >= kRows * kTileOut * sizeof(float));
};

// The scales of groups of a kInt4 matrix, line by line.
struct GroupScales {
  const char* data = nullptr;
  int line_bytes = 0;
  int lines = 0;
};

struct TileInput {
  int rows = 0;
  int tiles = 0;
  int k_blocks = 0;
  GroupScales groups;
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
  __device__ unsigned panel(int index, int panel) const {
    return stage(index) + Shape::kWeightBytes + static_cast<unsigned>(panel) * Shape::kPanelSize;
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
  // Room for the scales of groups.
  __device__ unsigned group_scales() const {
    return empty(Shape::kStages) + static_cast<unsigned>(Shape::kRows * sizeof(float));
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

  // Stages of a tile, and what fits into the ring before anything is known about x.
  __device__ int stages() const { return task.blocks * Format::kBlockStages; }
  __device__ int ahead() const { return min(Shape::kStages, stages()); }
  __device__ void fetch_first_weights() const {
    prefetch_map(x);
    ask_for_groups(task.first_tile);
    for (int i = 0; i < ahead(); ++i) fetch_weights(i, task.first_tile, i);
  }
  __device__ void fetch_rest() const {
    wait_for_previous_kernels();
    asm volatile("fence.proxy.async.global;" ::: "memory");
    for (int i = 0; i < ahead(); ++i) fetch_rows(i, i);
    RingPlace<Shape::kStages> place;
    int fetched = 0;
    for (int tile = task.first_tile; tile < input.tiles; tile += task.tile_stride) {
      if (tile != task.first_tile) ask_for_groups(tile);
      for (int part = 0; part < stages(); ++part, ++fetched, place.next()) {
        if (fetched < ahead()) continue;
        if (fetched >= Shape::kStages) wait_at(ring.empty(place.stage), place.parity ^ 1U);
        fetch_weights(place.stage, tile, part);
        fetch_rows(place.stage, part);
      }
    }
  }

 private:
  using Format = typename Shape::Format;

  // Has the scales of groups of a tile's lines on their way to the L2 cache; a split asks for all
  // scales of its part of the lines.
  __device__ void ask_for_groups(int tile) const {
    if constexpr (std::is_same_v<Format, Int4Tiles>) {
      constexpr int kHalves = kPaired ? 2 : 1, kLines = kTileOut / kHalves;
      const int most = input.groups.lines / kHalves;
      const int first = tile * kLines + kLines * task.split / input.splits;
      const int last = min(most, tile * kLines + kLines * (task.split + 1) / input.splits);
      for (int half = 0; half < kHalves && first < last; ++half)
        ask_for(input.groups.data +
                    static_cast<std::size_t>(half * most + first) * input.groups.line_bytes,
                static_cast<unsigned>((last - first) * input.groups.line_bytes));
    }
  }
  // Stage `part` of a tile.
  __device__ int place_of(int part) const { return task.first_block * Format::kBlockStages + part; }
  __device__ void fetch_weights(int stage, int tile, int part) const {
    const unsigned barrier = ring.full(stage);
    arrive_expecting(barrier, Shape::kStageBytes);
    const int column = place_of(part) * static_cast<int>(Format::kLineBytes);
    if constexpr (kPaired)
      fetch_pairs(ring.stage(stage), w, column, tile * (kTileOut / 16), barrier, once);
    else
      fetch_box(ring.stage(stage), w, column, tile * kTileOut, barrier, once);
  }
  __device__ void fetch_rows(int stage, int part) const {
#pragma unroll
    for (int panel = 0; panel < Format::kPanels; ++panel)
      fetch_box(ring.panel(stage, panel), x,
                (place_of(part) * Format::kPanels + panel) * kPanelBytes, 0, ring.full(stage),
                often);
  }
};

}  // namespace captiond::kernels
