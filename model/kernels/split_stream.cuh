#pragma once

// The kernel of one to four rows with packed weights: y[n, o] = Σ x[n, k] * W[o, k].
//
// Unpacking weights to bf16 takes more instructions than a multiprocessor has time for at the rate
// that memory delivers bytes. Here the stored bytes are the operands of the tensor cores: those of
// int8 as they are (mma.m16n8k32 on signed bytes), int4 after a mask that leaves sixteen
// times the weight of a nibble, e4m3 after one conversion of two to float16. x is split
// for that once a block, into shared memory (split_input.cuh): two bytes a value for the integer
// formats, whose products stand in neighbouring columns and are added as integers, exactly; then
// they are scaled and added in float32.
//
// Sixteen warps: two groups of 16 rows of W, each of eight slices of K. A warp streams its part
// through a ring of its own in shared memory, as weight_stream.cuh does, and the slices' sums are
// added in their order. A row's bits depend neither on the other rows, nor on their number, nor on
// the number of blocks. Registers and shared memory leave room for a second block on the
// multiprocessor where x is short: the next product's, which fills its ring while this one works.

#include <algorithm>
#include <iterator>

#include "model/kernels/split_input.cuh"

namespace captiond::kernels {

inline constexpr int kSplitGroups = 2;
inline constexpr int kSplitSlices = kSplitThreads / 32 / kSplitGroups;
inline constexpr int kSplitStages = 2;
// Passes whose rows' scales are in shared memory: the one that ends, the next one, and those that
// the ring is ahead.
inline constexpr int kScalePasses = 8;
static_assert(kSplitStages + 3 <= kScalePasses);
inline constexpr int kSplitAhead = 0;  // bytes of a block

__device__ __forceinline__ void multiply_add(int (&sum)[4], std::uint32_t a0, std::uint32_t a1,
                                             std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_add_halves(float (&sum)[4], std::uint32_t a0,
                                                    std::uint32_t a1, std::uint32_t a2,
                                                    std::uint32_t a3, std::uint32_t b0,
                                                    std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Columns 2t and 2t + 1 hold the high and the low bytes of row t.
__device__ __forceinline__ float joined(int high, int low) {
  return static_cast<float>(high * 256 + low);
}

// What a lane has in registers of one K-block: its chunks of the rows g and g + 8 in both halves of
// the block, and where the block has scales, those of its rows.
template <class Weights>
struct LaneWeights {
  uint4 low[2], high[2];
  uint4 low_scales, high_scales;  // eight bf16

  // `stage`: [half][row g | g + 8][lane], then the scales of 16 rows.
  __device__ __forceinline__ explicit LaneWeights(const char* stage) {
    const int lane = threadIdx.x % 32;
    const auto* const chunks = reinterpret_cast<const uint4*>(stage);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      low[half] = chunks[half * 64 + lane];
      high[half] = chunks[half * 64 + 32 + lane];
    }
    if constexpr (Weights::kGroupScales) {
      low_scales = chunks[128 + lane / 4];
      high_scales = chunks[136 + lane / 4];
    }
  }
};

// Where a lane finds x: its place in the first piece of a K-block, and the way to the next piece.
struct LaneInput {
  const char* first;
  int stride;

  __device__ __forceinline__ uint4 at(int piece, int offset = 0) const {
    return *reinterpret_cast<const uint4*>(first + piece * stride + offset);
  }
};

// Each adds the products of one K-block times `scale` to `sums`, says which of these belong to the
// rows g and g + 8 of W, and where in a piece the lane finds what it multiplies for row `row`.
struct TwoSums {
  float of_row[2] = {};
};

struct Int8Products {
  using Weights = Int8Weights;
  using Input = Int8Input;
  using Sums = TwoSums;

  static __device__ int place(int lane, int row) {
    return row * kSplitPiece + lane / 4 % 2 * kSplitInputs + lane % 4 * 16;
  }
  static __device__ __forceinline__ void add(Sums& sums, const LaneWeights<Weights>& w,
                                             const LaneInput& input, float scale) {
    int sum[4] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 x = input.at(half);
      multiply_add(sum, w.low[half].x, w.high[half].x, w.low[half].y, w.high[half].y, x.x, x.y);
      multiply_add(sum, w.low[half].z, w.high[half].z, w.low[half].w, w.high[half].w, x.z, x.w);
    }
    sums.of_row[0] = __fmaf_rn(scale, joined(sum[0], sum[1]), sums.of_row[0]);
    sums.of_row[1] = __fmaf_rn(scale, joined(sum[2], sum[3]), sums.of_row[1]);
  }
};

struct Int4Products {
  using Weights = Int4Weights;
  using Input = Int4Input;
  using Sums = TwoSums;

  static __device__ int place(int lane, int row) { return Int8Products::place(lane, row); }

  // Sixteen times the weights of the upper nibbles as signed bytes.
  static __device__ __forceinline__ std::uint32_t upper(std::uint32_t word) {
    return word & 0xf0f0f0f0U;
  }
  static __device__ __forceinline__ float scale_of(const uint4& scales, int group) {
    const std::uint32_t two = word_of(scales, group / 2);
    return __uint_as_float(group % 2 == 0 ? two << 16 : two & 0xffff0000U);
  }
  static __device__ __forceinline__ void add(Sums& sums, const LaneWeights<Weights>& w,
                                             const LaneInput& input, float scale) {
    Sums block;
#pragma unroll
    for (int group = 0; group < 8; ++group) {
      const uint4 x = input.at(group / 2);
      const std::uint32_t a = word_of(w.low[group / 4], group % 4);
      const std::uint32_t b = word_of(w.high[group / 4], group % 4);
      int sum[4] = {};
      multiply_add(sum, upper(a << 4), upper(b << 4), upper(a), upper(b),
                   group % 2 == 0 ? x.x : x.z, group % 2 == 0 ? x.y : x.w);
      block.of_row[0] =
          __fmaf_rn(scale_of(w.low_scales, group), joined(sum[0], sum[1]), block.of_row[0]);
      block.of_row[1] =
          __fmaf_rn(scale_of(w.high_scales, group), joined(sum[2], sum[3]), block.of_row[1]);
    }
    sums.of_row[0] = __fmaf_rn(scale, block.of_row[0], sums.of_row[0]);
    sums.of_row[1] = __fmaf_rn(scale, block.of_row[1], sums.of_row[1]);
  }
};

struct Fp8Products {
  using Weights = Fp8Weights;
  using Input = Fp8Input;
  using Sums = TwoSums;

  // Both columns of a row hold the same.
  static __device__ int place(int lane, int row) { return row * kSplitPiece + lane % 4 * 32; }

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t pair) {
    std::uint32_t result;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(result) : "h"(static_cast<std::uint16_t>(pair)));
    return result;
  }
  static __device__ __forceinline__ void four(float (&sum)[4], std::uint32_t low,
                                              std::uint32_t high, std::uint32_t b0,
                                              std::uint32_t b1) {
    multiply_add_halves(sum, two(low), two(high), two(low >> 16), two(high >> 16), b0, b1);
  }
  static __device__ __forceinline__ void add(Sums& sums, const LaneWeights<Weights>& w,
                                             const LaneInput& input, float scale) {
    float sum[2][4] = {};  // two chains
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 x = input.at(half), y = input.at(half, sizeof(uint4));
      four(sum[half], w.low[half].x, w.high[half].x, x.x, x.y);
      four(sum[half], w.low[half].y, w.high[half].y, x.z, x.w);
      four(sum[half], w.low[half].z, w.high[half].z, y.x, y.y);
      four(sum[half], w.low[half].w, w.high[half].w, y.z, y.w);
    }
    sums.of_row[0] = __fmaf_rn(scale, sum[0][0] + sum[1][0], sums.of_row[0]);
    sums.of_row[1] = __fmaf_rn(scale, sum[0][2] + sum[1][2], sums.of_row[1]);
  }
};

// The sums stay in the tensor cores' registers from block to block, and blocks and slices are those
// of weight_stream.cuh: so the bits are the same for any number of rows that is streamed.
struct Bf16Products {
  using Weights = Bf16Weights;
  using Input = Bf16Input;
  struct Sums {
    float of_row[4] = {};  // g twice, g + 8 twice
  };

  static __device__ int place(int lane, int row) { return row * kSplitPiece + lane % 4 * 16; }

  static __device__ __forceinline__ void add(Sums& sums, const LaneWeights<Weights>& w,
                                             const LaneInput& input, float) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 x = input.at(0, half * kSplitPiece / 2);
      multiply_add(sums.of_row, w.low[half].x, w.high[half].x, w.low[half].y, w.high[half].y, x.x,
                   x.y);
      multiply_add(sums.of_row, w.low[half].z, w.high[half].z, w.low[half].w, w.high[half].w, x.z,
                   x.w);
    }
  }
};

// One warp's stream of weights: its K-blocks of its 16 rows in every pass, one stage a block.
// Places in the matrix are counted in chunks of 16 bytes: registers are few.
template <class Weights, class Dealt>
class SplitRing {
 public:
  static constexpr int kScaleBytes = Weights::kGroupScales ? 16 * kChunkBytes : 0;
  static constexpr int kStageBytes = 16 * kBlockChunks * kChunkBytes + kScaleBytes;
  static constexpr int kBytes = kSplitStages * kStageBytes;

  // `row_scales`: shared memory of SplitShared for the scales of rows, or null when another warp
  // fetches those of the group.
  __device__ SplitRing(const StreamInput& input, const Dealt& deal, int group, char* ring,
                       float* row_scales, int begin, int end)
      : input_(input),
        deal_(deal),
        ring_(ring),
        row_scales_(row_scales),
        group_(group),
        begin_(begin),
        end_(end),
        block_(begin),
        pass_(begin == end ? deal.passes : 0),
        row_chunks_(static_cast<int>(row_bytes<Weights>(input.in)) / kChunkBytes) {
    enter_pass();
  }

  // Starts the copies of the next block into `slot`; when none is left, commits an empty group, so
  // that groups and blocks keep in step.
  __device__ __forceinline__ void fetch(int slot) {
    if (pass_ < deal_.passes) {
      const int lane = threadIdx.x % 32, first = block_ * kBlockChunks;
      char* const stage = ring_ + slot * kStageBytes + lane * kChunkBytes;
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        if (rows_[side] < 0) continue;
        const char* const from = chunk(input_.values, rows_[side] + first);
#pragma unroll
        for (int half = 0; half < 2; ++half)
          copy_16_bytes(stage + (half * 2 + side) * 32 * kChunkBytes, from + half * 4 * kChunkBytes,
                        first + half * 4 + lane % 4 < row_chunks_);
      }
      if constexpr (Weights::kGroupScales) {
        if (scales_ >= 0)
          copy_16_bytes(stage + kStageBytes - kScaleBytes, chunk(input_.scales, scales_ + block_),
                        true);
      }
      if (++block_ == end_) {
        block_ = begin_;
        ++pass_;
        enter_pass();
      }
    }
    commit_copies();
  }

  __device__ const char* stage(int slot) const { return ring_ + slot * kStageBytes; }

 private:
  static __device__ __forceinline__ const char* chunk(const void* base, int index) {
    return static_cast<const char*>(base) + static_cast<std::size_t>(index) * kChunkBytes;
  }

  __device__ __forceinline__ void enter_pass() {
    if (pass_ >= deal_.passes) return;
    const Pass pass = deal_.pass(pass_, 0);
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int row = deal_.row(pass, 2 * group_ + side, lane / 4);
      rows_[side] = row < 0 ? -1 : row * row_chunks_ + lane % 4;
    }
    // The row of this lane, of the 16, for what there is one of a row.
    const int row = lane < 16 ? deal_.row(pass, 2 * group_ + lane / 8, lane % 8) : -1;
    if constexpr (Weights::kRowScales) {
      if (row >= 0 && row_scales_ != nullptr)
        copy_4_bytes(row_scales_ + pass_ % kScalePasses * kPassRows + group_ * 16 + lane,
                     static_cast<const float*>(input_.scales) + row);
    }
    if constexpr (Weights::kGroupScales)
      scales_ = row < 0 ? -1 : row * static_cast<int>(group_scale_bytes(input_.in) / kChunkBytes);
  }

  const StreamInput& input_;
  const Dealt& deal_;
  char* ring_;
  float* row_scales_;
  int group_, begin_, end_, block_, pass_, row_chunks_;
  int rows_[2];      // first chunk of the lane's rows g and g + 8, or -1
  int scales_ = -1;  // first chunk of a row's scales, or -1
};

// Asks for the first kSplitAhead bytes of what the block reads, beyond what its rings hold: while
// it waits for the kernel before, memory may be idle.
template <bool kPaired, class Weights, class Dealt>
__device__ __forceinline__ void prefetch_weights(const StreamInput& input, const Dealt& deal) {
  constexpr int kWarps = kSplitThreads / 32, kRuns = kPaired ? 2 : 1;
  if constexpr (kSplitAhead == 0) return;
  if (threadIdx.x % 32 != 0) return;
  const int run = static_cast<int>(threadIdx.x) / 32 % kRuns;
  const std::size_t row = row_bytes<Weights>(input.in);
  const std::size_t most = min(deal.items * row, static_cast<std::size_t>(kSplitAhead / kRuns));
  const std::size_t part = most / (kWarps / kRuns) / 16 * 16;
  if (part == 0) return;
  const char* const from = input.values + (deal.items_begin + run * (input.out / 2)) * row +
                           threadIdx.x / 32 / kRuns * part;
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from),
               "r"(static_cast<unsigned>(part))
               : "memory");
}

// Shared memory: rings, sums of the warps (two passes), scales of rows, pieces and scales of x.
template <class Products>
struct SplitShared {
  using Ring = SplitRing<typename Products::Weights, Deal<false, 1>>;
  static constexpr int kWarps = kSplitThreads / 32;
  static constexpr int kSums = kWarps * 32;  // of a pass
  static constexpr std::size_t kRings = static_cast<std::size_t>(kWarps) * Ring::kBytes;
  static constexpr std::size_t kRowScales = kRings + 2 * kSums * sizeof(float2);
  static constexpr std::size_t kInput = kRowScales + kScalePasses * kPassRows * sizeof(float);

  static constexpr std::size_t bytes(int in, int rows) {
    return kInput + split_bytes<typename Products::Input>(in, rows);
  }
};

// Adds the slices' sums of a pass, times the scales of their rows, and hands the tail the quads
// that weight_stream.cuh hands it: one thread for the rows g and g + 8 of a group and two rows of
// x.
template <class Weights, class Dealt, class Tail>
__device__ __forceinline__ void add_slices(const float2* sums, const float* row_scales,
                                           const Pass& pass, const Dealt& deal, int rows,
                                           Tail& tail) {
  const int group = threadIdx.x / 32, lane = threadIdx.x % 32, n = lane % 4 * 2;
  if (group >= kSplitGroups || n >= rows) return;
  const auto part = [&](int slice) {
    return *reinterpret_cast<const float4*>(sums + (slice * kSplitGroups + group) * 32 +
                                            lane / 4 * 4 + n);
  };
  float4 total = part(0);
#pragma unroll
  for (int slice = 1; slice < kSplitSlices; ++slice) {
    const float4 more = part(slice);
    total = {total.x + more.x, total.y + more.y, total.z + more.z, total.w + more.w};
  }
  if constexpr (Weights::kRowScales) {
    const float low = row_scales[group * 16 + lane / 4],
                high = row_scales[group * 16 + 8 + lane / 4];
    total = {total.x * low, total.y * high, total.z * low, total.w * high};
  }
  tail.take(0, deal.row(pass, 2 * group, lane / 4), deal.row(pass, 2 * group + 1, lane / 4), n,
            {total.x, total.z, total.y, total.w});
}

// `Tail` as for stream_kernel().
template <class Products, class Tail>
__global__ void __launch_bounds__(kSplitThreads, 2)
    split_kernel(const StreamInput input, Tail tail) {
  extern __shared__ __align__(128) char shared[];
  using Weights = typename Products::Weights;
  using Memory = SplitShared<Products>;
  using Dealt = Deal<Tail::kPaired, 1>;
  using Ring = SplitRing<Weights, Dealt>;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Dealt deal(input.out);
  const int blocks = shared_scales<typename Products::Input>(input.in);
  const int slice = warp / kSplitGroups;
  const int begin = blocks * slice / kSplitSlices, end = blocks * (slice + 1) / kSplitSlices;
  auto* const row_scales = reinterpret_cast<float*>(shared + Memory::kRowScales);
  // The last slice is never empty.
  Ring ring(input, deal, warp % kSplitGroups, shared + warp * Ring::kBytes,
            slice == kSplitSlices - 1 ? row_scales : nullptr, begin, end);
#pragma unroll 1
  for (int stage = 0; stage < kSplitStages; ++stage) ring.fetch(stage);
  let_next_kernel_start();
  prefetch_weights<Tail::kPaired, Weights>(input, deal);
  wait_for_previous_kernels();
  split_rows<typename Products::Input>(input, shared + Memory::kInput);
  __syncthreads();

  constexpr int kPieces = Products::Input::kShared / kSplitInputs;  // of a K-block
  const int row = min(lane / 8, input.rows - 1), stride = input.rows * kSplitPiece;
  const char* const x = shared + Memory::kInput + Products::place(lane, row);
  const auto* const x_scales =
      reinterpret_cast<const float*>(shared + Memory::kInput +
                                     static_cast<std::size_t>(blocks) * kPieces * stride) +
      min(lane % 4, input.rows - 1);
  auto* const sums_of_all = reinterpret_cast<float2*>(shared + Memory::kRings);
  int slot = 0;
  for (int index = 0; index < deal.passes; ++index) {
    typename Products::Sums sums;
    for (int block = begin; block < end; ++block) {
      wait_for_copies<kSplitStages - 1>();
      // Scales, unlike values, are read by other threads than the one that fetched them.
      if constexpr (Weights::kGroupScales) __syncwarp();
      const LaneWeights<Weights> weights(ring.stage(slot));
      if constexpr (Weights::kGroupScales) __syncwarp();
      ring.fetch(slot);  // what was there is in registers
      Products::add(sums, weights, {.first = x + block * kPieces * stride, .stride = stride},
                    Products::Input::kScaled ? x_scales[block * input.rows] : 1.0F);
      if (++slot == kSplitStages) slot = 0;
    }
    float2* const buffer = sums_of_all + index % 2 * Memory::kSums;
    buffer[threadIdx.x] = {sums.of_row[0], sums.of_row[std::size(sums.of_row) / 2]};
    __syncthreads();
    add_slices<Weights>(buffer, row_scales + index % kScalePasses * kPassRows, deal.pass(index, 0),
                        deal, input.rows, tail);
  }
  __syncthreads();
  tail.finish(shared, input);
}

// Whether x of up to kSplitRowsMax rows fits into a block's shared memory.
template <class Products>
constexpr bool splits(int in) {
  constexpr std::size_t kSharedMax = 227 * 1024;
  return SplitShared<Products>::bytes(in, kSplitRowsMax) <= kSharedMax;
}

template <class Products, class Tail>
[[nodiscard]] cudaError_t launch_split(const StreamInput& input, const Tail& tail, int blocks_max,
                                       cudaStream_t stream) noexcept {
  const int items = Tail::kPaired ? input.out / 2 : input.out;
  const LaunchShape shape{.blocks = dim3(static_cast<unsigned>(std::min(blocks_max, items))),
                          .threads = dim3(kSplitThreads),
                          .shared_bytes = SplitShared<Products>::bytes(input.in, input.rows)};
  return launch(split_kernel<Products, Tail>, shape, stream, input, tail);
}

}  // namespace captiond::kernels
