#pragma once

// The kernel of one to four rows: y[n, o] = Σ x[n, k] * W[o, k].
//
// Unpacking weights to bf16 takes more instructions than a multiprocessor has time for at the rate
// that memory delivers bytes. Here the stored bytes are the operands of the tensor cores: those of
// int8 as they are (mma.m16n8k32 on signed bytes), int4 after a mask that leaves sixteen times the
// weight of a nibble, e4m3 after one conversion of two to float16; bf16 as ever. x is split for
// that once a block, into shared memory (split_input.cuh): two bytes a value for the integer
// formats, whose products stand in neighbouring columns and are added as integers, exactly; then
// they are scaled and added in float32. For 2 KB of weights a warp takes 85 (int8), 190 (int4) and
// 120 (fp8) instructions.
//
// Sixteen warps: two groups of 16 rows of W, each of eight slices of K. A warp streams its part
// through a ring of its own in shared memory, as weight_stream.cuh does, and the slices' sums are
// added in their order. A row's bits depend neither on the other rows, nor on their number, nor on
// the number of blocks.
//
// One block takes a multiprocessor for itself: with room for the next product's beside it, whose
// ring then fills while this one works, a step took 3.2 ms instead of 2.2 in int4 and 3.7 instead
// of 3.2 in int8 (bench_kernels step, one row, H200), presumably since what a chain of small
// kernels waits for stands behind the requests for weights. Prefetching into the L2 cache, and in
// int4 a third stage of the rings (2.3 ms), cost for the same reason.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "model/kernels/split_input.cuh"

namespace captiond::kernels {

inline constexpr int kSplitGroups = 2;
inline constexpr int kSplitSlices = kSplitThreads / 32 / kSplitGroups;
inline constexpr int kSplitStagesMax = 4;  // of a ring
// Passes whose rows' scales are in shared memory: the one that ends, the next one, and those that
// the ring is ahead.
inline constexpr int kScalePasses = 8;
static_assert(kSplitStagesMax + 3 <= kScalePasses);

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

struct TwoSums {
  float of_row[2] = {};  // g and g + 8 of W
};

// Of each format: the stages of a warp's ring, the sums it keeps, where in a piece a lane finds
// what it multiplies for row `row` of x, and the products of one K-block, added times `scale`.

struct Int8Products {
  using Weights = Int8Weights;
  using Input = Int8Input;
  using Sums = TwoSums;
  static constexpr int kStages = 3;

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
  static constexpr int kStages = 2;

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
  static constexpr int kStages = 3;

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
  static constexpr int kStages = 4;
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

// How the rows of W, or the pairs of a gate and an up row, are dealt to blocks, passes and groups:
// evenly, the first ones of each having one more than the others.
template <bool kPaired>
class SplitDeal {
 public:
  __device__ explicit SplitDeal(int rows_of_w) : out_(rows_of_w) {
    constexpr int kInPass = kSplitGroups * (kPaired ? 8 : 16);
    const int all = kPaired ? rows_of_w / 2 : rows_of_w;
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int each = all / blocks, more = all % blocks;
    begin_ = block * each + min(block, more);
    const int items = each + (block < more ? 1 : 0);
    passes_ = (items + kInPass - 1) / kInPass;
    each_ = items / (passes_ * kSplitGroups);
    more_ = items % (passes_ * kSplitGroups);
  }
  __device__ int passes() const { return passes_; }

  // The row of W at g (`side` 0) or g + 8 (1) of the 16 of a group, or -1.
  __device__ __forceinline__ int row(int pass, int group, int side, int g) const {
    const int part = pass * kSplitGroups + group, item = kPaired ? g : side * 8 + g;
    if (item >= each_ + (part < more_ ? 1 : 0)) return -1;
    return begin_ + part * each_ + min(part, more_) + item + (kPaired ? side * (out_ / 2) : 0);
  }

 private:
  int begin_, passes_, each_, more_, out_;
};

// One warp's stream of weights: its K-blocks of its 16 rows in every pass, one stage a block.
// Places in the matrix are counted in chunks of 16 bytes: registers are few.
template <class Weights, int kStages, class Dealt>
class SplitRing {
 public:
  static constexpr int kScaleBytes = Weights::kGroupScales ? 16 * kChunkBytes : 0;
  static constexpr int kStageBytes = 16 * kBlockChunks * kChunkBytes + kScaleBytes;
  static constexpr int kBytes = kStages * kStageBytes;

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
        pass_(begin == end ? deal.passes() : 0),
        row_chunks_(static_cast<int>(row_bytes<Weights>(input.in)) / kChunkBytes) {
    enter_pass();
  }

  // Starts the copies of the next block into `slot`; when none is left, commits an empty group, so
  // that groups and blocks keep in step.
  __device__ __forceinline__ void fetch(int slot) {
    if (pass_ < deal_.passes()) {
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
    if (pass_ >= deal_.passes()) return;
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int row = deal_.row(pass_, group_, side, lane / 4);
      rows_[side] = row < 0 ? -1 : row * row_chunks_ + lane % 4;
    }
    // The row of this lane, of the 16, for what there is one of a row.
    const int row = lane < 16 ? deal_.row(pass_, group_, lane / 8, lane % 8) : -1;
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

// Shared memory of a block: rings, scales of rows, sums of the warps (of two passes, [slice][group]
// [g][row of x] for the rows g and g + 8 of W), pieces and scales of x.
template <class Products, int kStages>
struct SplitShared {
  using Weights = typename Products::Weights;
  using Ring = SplitRing<Weights, kStages, SplitDeal<false>>;
  static constexpr std::size_t kRings = static_cast<std::size_t>(kSplitThreads / 32) * Ring::kBytes;
  static constexpr std::size_t kRowScales =
      Weights::kRowScales ? kScalePasses * kPassRows * sizeof(float) : 0;

  static __host__ __device__ constexpr std::size_t sums_at() { return kRings + kRowScales; }
  static __host__ __device__ constexpr int sums(int rows) {  // of a pass
    return kSplitThreads / 4 * rows;
  }
  static __host__ __device__ constexpr std::size_t input_at(int rows) {
    return sums_at() + 2 * sums(rows) * sizeof(float2);
  }
  static constexpr std::size_t bytes(int in, int rows) {
    return input_at(rows) + split_bytes<typename Products::Input>(in, rows);
  }
};

// Adds the slices' sums of a pass, times the scales of their rows, and hands the tail the quads
// that weight_stream.cuh hands it: one thread for the rows g and g + 8 of a group and two rows of
// x, of which the second may be beyond the last.
template <class Weights, class Dealt, class Tail>
__device__ __forceinline__ void add_slices(const float2* sums, const float* row_scales, int pass,
                                           const Dealt& deal, int rows, Tail& tail) {
  const int group = threadIdx.x / 32, g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int n = static_cast<int>(threadIdx.x) % 4 * 2;
  if (group >= kSplitGroups || n >= rows) return;
  const float2* const first = sums + (group * 8 + g) * rows + n;
  const int next = n + 1 < rows ? 1 : 0, of_slice = kSplitGroups * 8 * rows;
  float2 left = first[0], right = first[next];
#pragma unroll
  for (int slice = 1; slice < kSplitSlices; ++slice) {
    const float2 more = first[slice * of_slice], other = first[slice * of_slice + next];
    left = {left.x + more.x, left.y + more.y};
    right = {right.x + other.x, right.y + other.y};
  }
  float low = 1.0F, high = 1.0F;
  if constexpr (Weights::kRowScales) {
    low = row_scales[group * 16 + g];
    high = row_scales[group * 16 + 8 + g];
  }
  tail.take(0, deal.row(pass, group, 0, g), deal.row(pass, group, 1, g), n,
            {left.x * low, right.x * low, left.y * high, right.y * high});
}

// `Tail` as for stream_kernel().
template <class Products, int kStages, class Tail>
__global__ void __launch_bounds__(kSplitThreads, 1)
    split_kernel(const StreamInput input, Tail tail) {
  extern __shared__ __align__(128) char shared[];
  using Weights = typename Products::Weights;
  using Memory = SplitShared<Products, kStages>;
  using Dealt = SplitDeal<Tail::kPaired>;
  using Ring = SplitRing<Weights, kStages, Dealt>;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Dealt deal(input.out);
  const int blocks = shared_scales<typename Products::Input>(input.in);
  const int slice = warp / kSplitGroups;
  const int begin = blocks * slice / kSplitSlices, end = blocks * (slice + 1) / kSplitSlices;
  auto* const row_scales = reinterpret_cast<float*>(shared + Memory::kRings);
  // The last slice is never empty.
  Ring ring(input, deal, warp % kSplitGroups, shared + warp * Ring::kBytes,
            slice == kSplitSlices - 1 ? row_scales : nullptr, begin, end);
  // The last stage later: requests for weights are in the way of those for x.
#pragma unroll 1
  for (int stage = 0; stage < kStages - 1; ++stage) ring.fetch(stage);
  let_next_kernel_start();
  wait_for_previous_kernels();
  char* const pieces = shared + Memory::input_at(input.rows);
  split_rows<typename Products::Input>(input, pieces);
  ring.fetch(kStages - 1);
  __syncthreads();

  constexpr int kPieces = Products::Input::kShared / kSplitInputs;  // of a K-block
  const int row = min(lane / 8, input.rows - 1), stride = input.rows * kSplitPiece;
  const char* const x = pieces + Products::place(lane, row);
  const auto* const x_scales =
      reinterpret_cast<const float*>(pieces + static_cast<std::size_t>(blocks) * kPieces * stride) +
      min(lane % 4, input.rows - 1);
  auto* const sums_of_all = reinterpret_cast<float2*>(shared + Memory::sums_at());
  int slot = 0;
  for (int index = 0; index < deal.passes(); ++index) {
    typename Products::Sums sums;
    for (int block = begin; block < end; ++block) {
      wait_for_copies<kStages - 1>();
      // Scales, unlike values, are read by other threads than the one that fetched them.
      if constexpr (Weights::kGroupScales) __syncwarp();
      const LaneWeights<Weights> weights(ring.stage(slot));
      if constexpr (Weights::kGroupScales) __syncwarp();
      ring.fetch(slot);  // what was there is in registers
      Products::add(sums, weights, {.first = x + block * kPieces * stride, .stride = stride},
                    Products::Input::kScaled ? x_scales[block * input.rows] : 1.0F);
      if (++slot == kStages) slot = 0;
    }
    float2* const buffer = sums_of_all + index % 2 * Memory::sums(input.rows);
    if (lane % 4 < input.rows)
      buffer[(warp * 8 + lane / 4) * input.rows + lane % 4] = {
          sums.of_row[0], sums.of_row[std::size(sums.of_row) / 2]};
    __syncthreads();
    add_slices<Weights>(buffer, row_scales + index % kScalePasses * kPassRows, index, deal,
                        input.rows, tail);
  }
  __syncthreads();
  tail.finish(shared, input);
}

// Whether x of up to kSplitRowsMax rows fits into a block's shared memory, with a stage less of the
// rings where need be.
inline constexpr std::size_t kSharedOfBlock = 227 * 1024;
template <class Products>
constexpr int kStagesLeast = Products::kStages > 2 ? Products::kStages - 1 : Products::kStages;
template <class Products>
constexpr bool splits(int in) {
  return SplitShared<Products, kStagesLeast<Products>>::bytes(in, kSplitRowsMax) <= kSharedOfBlock;
}

template <class Products, int kStages, class Tail>
[[nodiscard]] cudaError_t launch_stages(const StreamInput& input, const Tail& tail, int blocks_max,
                                        cudaStream_t stream) noexcept {
  const int items = Tail::kPaired ? input.out / 2 : input.out;
  const LaunchShape shape{
      .blocks = dim3(static_cast<unsigned>(std::min(blocks_max, items))),
      .threads = dim3(kSplitThreads),
      .shared_bytes = SplitShared<Products, kStages>::bytes(input.in, input.rows)};
  return launch(split_kernel<Products, kStages, Tail>, shape, stream, input, tail);
}

template <class Products, class Tail>
[[nodiscard]] cudaError_t launch_split(const StreamInput& input, const Tail& tail, int blocks_max,
                                       cudaStream_t stream) noexcept {
  constexpr int kStages = Products::kStages;
  if (SplitShared<Products, kStages>::bytes(input.in, input.rows) <= kSharedOfBlock)
    return launch_stages<Products, kStages>(input, tail, blocks_max, stream);
  return launch_stages<Products, kStagesLeast<Products>>(input, tail, blocks_max, stream);
}

}  // namespace captiond::kernels
