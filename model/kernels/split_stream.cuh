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
// Sixteen warps: two groups of 16 rows of W, each of eight slices of K; in int4, where W has more
// rows than one pass of all blocks takes, four groups of four slices, so that fewer passes end: 1 %
// of a step (other formats gain nothing or lose, bench_kernels, H200). A warp streams its part
// through a ring of its own in shared memory, as weight_stream.cuh does, and the slices' sums are
// added in their order. A row's bits depend neither on the other rows, nor on their number, nor on
// the number of blocks; only where it makes norms (split_norm.cuh) do they depend on the blocks of
// the product in front.
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
#include "model/kernels/split_norm.cuh"
#include "model/kernels/split_products.cuh"

namespace captiond::kernels {

inline constexpr int kSplitWarps = kSplitThreads / 32;
inline constexpr int kSplitGroups = 2;      // of 16 rows of W in a pass, by as many warps a slice
inline constexpr int kSplitGroupsMost = 4;  // where W has at least kSplitWideOut rows
inline constexpr int kSplitWideOut = 4224;
inline constexpr int kSplitStagesMax = 4;  // of a ring
// Passes whose rows' scales are in shared memory: the one that ends, the next one, and those that
// the ring is ahead.
inline constexpr int kScalePasses = 8;
static_assert(kSplitStagesMax + 3 <= kScalePasses);

// How the rows of W, or the pairs of a gate and an up row, are dealt to blocks, passes and groups:
// evenly, the first ones of each having one more than the others.
template <int kGroups, bool kPaired>
class SplitDeal {
 public:
  __device__ explicit SplitDeal(int rows_of_w) : out_(rows_of_w) {
    constexpr int kInPass = kGroups * (kPaired ? 8 : 16);
    const int all = kPaired ? rows_of_w / 2 : rows_of_w;
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int each = all / blocks, more = all % blocks;
    begin_ = block * each + min(block, more);
    const int items = each + (block < more ? 1 : 0);
    passes_ = (items + kInPass - 1) / kInPass;
    each_ = items / (passes_ * kGroups);
    more_ = items % (passes_ * kGroups);
  }
  __device__ int passes() const { return passes_; }

  // The row of W at g (`side` 0) or g + 8 (1) of the 16 of a group, or -1.
  __device__ __forceinline__ int row(int pass, int group, int side, int g) const {
    const int part = pass * kGroups + group, item = kPaired ? g : side * 8 + g;
    if (item >= each_ + (part < more_ ? 1 : 0)) return -1;
    return begin_ + part * each_ + min(part, more_) + item + (kPaired ? side * (out_ / 2) : 0);
  }

 private:
  int begin_, passes_, each_, more_, out_;
};

// One warp's stream of weights: its K-blocks of its 16 rows in every pass, one stage a block.
// Places in the matrix are counted in chunks of 16 bytes: registers are few.
template <class Weights, int kStages, int kGroups, class Dealt>
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
        copy_4_bytes(row_scales_ + pass_ % kScalePasses * kGroups * 16 + group_ * 16 + lane,
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
template <class Products, int kStages, int kGroups>
struct SplitShared {
  using Weights = typename Products::Weights;
  using Ring = SplitRing<Weights, kStages, kGroups, SplitDeal<kGroups, false>>;
  static constexpr std::size_t kRings = static_cast<std::size_t>(kSplitThreads / 32) * Ring::kBytes;
  static constexpr std::size_t kRowScales =
      Weights::kRowScales ? kScalePasses * kGroups * 16 * sizeof(float) : 0;

  static __host__ __device__ constexpr std::size_t sums_at() { return kRings + kRowScales; }
  static __host__ __device__ constexpr int sums(int rows) {  // of a pass
    return kSplitThreads / 4 * rows;
  }
  static __host__ __device__ constexpr std::size_t input_at(int rows) {
    return sums_at() + 2 * sums(rows) * sizeof(float2);
  }
  // Where a source has what it shares.
  static __host__ __device__ constexpr std::size_t norm_at(int in, int rows) {
    return (input_at(rows) + split_bytes<typename Products::Input>(in, rows) + 15) / 16 * 16;
  }
  static constexpr std::size_t bytes(int in, int rows) { return norm_at(in, rows); }
};

// Adds the slices' sums of a pass, times the scales of their rows, and hands the tail the quads
// that weight_stream.cuh hands it: one thread for the rows g and g + 8 of a group and two rows of
// x, of which the second may be beyond the last.
template <class Weights, int kGroups, class Dealt, class Tail, class Source>
__device__ __forceinline__ void add_slices(const float2* sums, const float* row_scales, int pass,
                                           const Dealt& deal, const StreamInput& input, Tail& tail,
                                           const Source& source, const float* norm_shared) {
  const int rows = input.rows;
  const int group = threadIdx.x / 32, g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int n = static_cast<int>(threadIdx.x) % 4 * 2;
  if (group >= kGroups || n >= rows) return;
  const float2* const first = sums + (group * 8 + g) * rows + n;
  const int next = n + 1 < rows ? 1 : 0, of_slice = kGroups * 8 * rows;
  float2 left = first[0], right = first[next];
#pragma unroll
  for (int slice = 1; slice < kSplitWarps / kGroups; ++slice) {
    const float2 more = first[slice * of_slice], other = first[slice * of_slice + next];
    left = {left.x + more.x, left.y + more.y};
    right = {right.x + other.x, right.y + other.y};
  }
  float low = 1.0F, high = 1.0F;
  if constexpr (Weights::kRowScales) {
    low = row_scales[group * 16 + g];
    high = row_scales[group * 16 + 8 + g];
  }
  if constexpr (Source::kNormed) {
    const float of_left = source.factor(input, norm_shared, n);
    const float of_right = source.factor(input, norm_shared, n + next);
    left = {left.x * of_left, left.y * of_left};
    right = {right.x * of_right, right.y * of_right};
  }
  tail.take(0, deal.row(pass, group, 0, g), deal.row(pass, group, 1, g), n,
            {left.x * low, right.x * low, left.y * high, right.y * high});
}

// `Tail` as for stream_kernel().
template <class Products, int kStages, int kGroups, class Tail, class Source>
__device__ __forceinline__ void split_block(const StreamInput& input, Tail& tail, Source& source) {
  extern __shared__ __align__(128) char shared[];
  using Weights = typename Products::Weights;
  using Input = typename Products::Input;
  using Memory = SplitShared<Products, kStages, kGroups>;
  using Dealt = SplitDeal<kGroups, Tail::kPaired>;
  using Ring = SplitRing<Weights, kStages, kGroups, Dealt>;
  constexpr int kSlices = kSplitWarps / kGroups;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const Dealt deal(input.out);
  const int blocks = shared_scales<Input>(input.in);
  const int slice = warp / kGroups;
  const int begin = blocks * slice / kSlices, end = blocks * (slice + 1) / kSlices;
  auto* const row_scales = reinterpret_cast<float*>(shared + Memory::kRings);
  // The last slice is never empty.
  Ring ring(input, deal, warp % kGroups, shared + warp * Ring::kBytes,
            slice == kSlices - 1 ? row_scales : nullptr, begin, end);
  // The last stage right behind the requests for x, in whose way those for weights are: int4 gave
  // 365 tokens/s so and 360 with it after x was split (bench_decode, one context of 1K, H200).
  const int ahead = input.long_wait ? kStages : kStages - 1;
#pragma unroll 1
  for (int stage = 0; stage < ahead; ++stage) ring.fetch(stage);
  source.prepare(input);
  let_next_kernel_start();
  wait_for_previous_kernels();
  char* const pieces = shared + Memory::input_at(input.rows);
  auto* const norm_shared =
      reinterpret_cast<float*>(shared + Memory::norm_at(input.in, input.rows));
  source.template split<Input>(input, pieces, norm_shared, [&] {
    if (ahead < kStages) ring.fetch(kStages - 1);
  });
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
    add_slices<Weights, kGroups>(buffer, row_scales + index % kScalePasses * kGroups * 16, index,
                                 deal, input, tail, source, norm_shared);
  }
  __syncthreads();
  tail.finish(shared, input);
}

template <class Products, int kStages, int kGroups, class Tail, class Source>
__global__ void __launch_bounds__(kSplitThreads, 1)
    split_kernel(const StreamInput input, Tail tail, Source source) {
  split_block<Products, kStages, kGroups>(input, tail, source);
}

// With so many registers a block of the attention of one or two rows (256 threads of 80) fits
// beside, and has its keys when the projections are there. int4 decoded 343.1 and 343.7 tokens/s
// without and 348.7 and 347.8 with them in all products. fp8, which has 92 to 96, lost 1.6 % by it
// there, and gained 2 % with one context and 2.5 with two where the projections alone have them;
// four rows, whose rope is a kernel of its own, lost 1 %. Runs in turns (bench_decode, contexts of
// 1K, H200).
inline constexpr int kSplitFewRegisters = 88;
inline constexpr int kSplitRowsBesideAttention = 2;
template <class Products, int kStages, int kGroups, class Tail, class Source>
__global__ void __maxnreg__(kSplitFewRegisters)
    split_kernel_of_few_registers(const StreamInput input, Tail tail, Source source) {
  split_block<Products, kStages, kGroups>(input, tail, source);
}

// Whether x of up to kSplitRowsMax rows fits into a block's shared memory, with a stage less of the
// rings where need be.
inline constexpr std::size_t kSharedOfBlock = 227 * 1024;
template <class Products>
constexpr int kStagesLeast = Products::kStages > 2 ? Products::kStages - 1 : Products::kStages;
template <class Products>
constexpr bool splits(int in) {
  return SplitShared<Products, kStagesLeast<Products>, kSplitGroupsMost>::bytes(
             in, kSplitRowsMax) <= kSharedOfBlock;
}

template <class Products, int kStages, int kGroups, class Tail, class Source>
[[nodiscard]] cudaError_t launch_stages(const StreamInput& input, const Tail& tail,
                                        const Source& source, int blocks_max,
                                        cudaStream_t stream) noexcept {
  const int items = Tail::kPaired ? input.out / 2 : input.out;
  const LaunchShape shape{
      .blocks = dim3(static_cast<unsigned>(std::min(blocks_max, items))),
      .threads = dim3(kSplitThreads),
      .shared_bytes = SplitShared<Products, kStages, kGroups>::bytes(input.in, input.rows) +
                      Source::kSharedBytes};
  // Norms stand in front of gate and up, whose rows are paired, and of the projections.
  constexpr bool kProjects = Source::kNormed && !Tail::kPaired;
  constexpr auto kFew = Products::kFewRegisters;
  if constexpr (kFew == FewRegisters::kAlways ||
                (kFew == FewRegisters::kInFrontOfAttention && kProjects)) {
    if (kFew == FewRegisters::kAlways || input.rows <= kSplitRowsBesideAttention)
      return launch(split_kernel_of_few_registers<Products, kStages, kGroups, Tail, Source>, shape,
                    stream, input, tail, source);
  }
  if constexpr (kFew != FewRegisters::kAlways)
    return launch(split_kernel<Products, kStages, kGroups, Tail, Source>, shape, stream, input,
                  tail, source);
}

template <class Products, int kGroups, class Tail, class Source>
[[nodiscard]] cudaError_t launch_groups(const StreamInput& input, const Tail& tail,
                                        const Source& source, int blocks_max,
                                        cudaStream_t stream) noexcept {
  constexpr int kStages = Products::kStages;
  if (SplitShared<Products, kStages, kGroups>::bytes(input.in, input.rows) + Source::kSharedBytes <=
      kSharedOfBlock)
    return launch_stages<Products, kStages, kGroups>(input, tail, source, blocks_max, stream);
  return launch_stages<Products, kStagesLeast<Products>, kGroups>(input, tail, source, blocks_max,
                                                                  stream);
}

template <class Products, class Tail, class Source = PlainSource>
[[nodiscard]] cudaError_t launch_split(const StreamInput& input, const Tail& tail, int blocks_max,
                                       cudaStream_t stream, const Source& source = {}) noexcept {
  if (input.out >= kSplitWideOut)
    return launch_groups<Products, Products::kGroupsOfWide>(input, tail, source, blocks_max,
                                                            stream);
  return launch_groups<Products, kSplitGroups>(input, tail, source, blocks_max, stream);
}

// The groups of a pass of the kernel for a matrix, and its blocks.
template <class Products>
int groups_of(int out) {
  return out >= kSplitWideOut ? Products::kGroupsOfWide : kSplitGroups;
}

}  // namespace captiond::kernels
