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
#include "model/kernels/split_products.cuh"

namespace captiond::kernels {

inline constexpr int kSplitGroups = 2;
inline constexpr int kSplitSlices = kSplitThreads / 32 / kSplitGroups;
inline constexpr int kSplitStagesMax = 4;  // of a ring
// Passes whose rows' scales are in shared memory: the one that ends, the next one, and those that
// the ring is ahead.
inline constexpr int kScalePasses = 8;
static_assert(kSplitStagesMax + 3 <= kScalePasses);

// How the rows of W, or the pairs of a gate and an up row, are dealt to blocks, passes and groups:
// evenly, the first ones of each having one more than the others.
class SplitDeal {
 public:
  SplitDeal() = default;
  __device__ SplitDeal(int rows_of_w, bool paired) : out_(rows_of_w), paired_(paired) {
    const int in_pass = kSplitGroups * (paired ? 8 : 16);
    const int all = paired ? rows_of_w / 2 : rows_of_w;
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int each = all / blocks, more = all % blocks;
    begin_ = block * each + min(block, more);
    const int items = each + (block < more ? 1 : 0);
    passes_ = (items + in_pass - 1) / in_pass;
    each_ = items / (passes_ * kSplitGroups);
    more_ = items % (passes_ * kSplitGroups);
  }
  __device__ int passes() const { return passes_; }

  // The row of W at g (`side` 0) or g + 8 (1) of the 16 of a group, or -1.
  __device__ __forceinline__ int row(int pass, int group, int side, int g) const {
    const int part = pass * kSplitGroups + group, item = paired_ ? g : side * 8 + g;
    if (item >= each_ + (part < more_ ? 1 : 0)) return -1;
    return begin_ + part * each_ + min(part, more_) + item + (paired_ ? side * (out_ / 2) : 0);
  }

 private:
  int begin_, passes_, each_, more_, out_;
  bool paired_;
};

// The K-blocks of a warp's slice.
struct SplitSlice {
  int begin;
  int end;

  template <class Input>
  static __device__ __forceinline__ SplitSlice of(int in) {
    const int blocks = shared_scales<Input>(in);
    const int slice = static_cast<int>(threadIdx.x) / 32 / kSplitGroups;
    return {blocks * slice / kSplitSlices, blocks * (slice + 1) / kSplitSlices};
  }
};

// The products of a launch, in their order: here a single one.
template <bool kPaired>
struct OneProduct {
  const StreamInput& input;

  static __device__ constexpr int count() { return 1; }
  __device__ const StreamInput& at(int) const { return input; }
  static __device__ constexpr bool paired(int) { return kPaired; }
};

// One warp's stream of weights: its K-blocks of its 16 rows in every pass of every product, one
// stage a block. Places in a matrix are counted in chunks of 16 bytes.
template <class Products, int kStages, class Line>
class SplitRing {
 public:
  using Weights = typename Products::Weights;
  static constexpr int kScaleBytes = Weights::kGroupScales ? 16 * kChunkBytes : 0;
  static constexpr int kStageBytes = 16 * kBlockChunks * kChunkBytes + kScaleBytes;
  static constexpr int kBytes = kStages * kStageBytes;

  // `ring`: of this warp. `row_scales`: shared memory of SplitShared for the scales of rows.
  __device__ SplitRing(const Line& line, char* ring, float* row_scales)
      : line_(line), ring_(ring), row_scales_(row_scales) {
    enter_product();
  }

  // Starts the copies of the next block into `slot`; when none is left, commits an empty group, so
  // that groups and blocks keep in step.
  __device__ __forceinline__ void fetch(int slot) {
    if (product_ < line_.count()) {
      const int lane = threadIdx.x % 32, first = block_ * kBlockChunks;
      char* const stage = ring_ + slot * kStageBytes + lane * kChunkBytes;
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        if (rows_[side] < 0) continue;
        const char* const from = chunk(values_, rows_[side] + first);
#pragma unroll
        for (int half = 0; half < 2; ++half)
          copy_16_bytes(stage + (half * 2 + side) * 32 * kChunkBytes, from + half * 4 * kChunkBytes,
                        first + half * 4 + lane % 4 < row_chunks_);
      }
      if constexpr (Weights::kGroupScales) {
        if (group_scales_ >= 0)
          copy_16_bytes(stage + kStageBytes - kScaleBytes, chunk(scales_, group_scales_ + block_),
                        true);
      }
      if (++block_ == slice_.end) leave_pass();
    }
    commit_copies();
  }

  __device__ const char* stage(int slot) const { return ring_ + slot * kStageBytes; }

 private:
  static __device__ __forceinline__ const char* chunk(const void* base, int index) {
    return static_cast<const char*>(base) + static_cast<std::size_t>(index) * kChunkBytes;
  }

  __device__ __forceinline__ void leave_pass() {
    block_ = slice_.begin;
    ++turn_;
    if (++pass_ < deal_.passes()) return enter_pass();
    ++product_;
    enter_product();
  }

  // The next product that this warp has any K-blocks of.
  __device__ __forceinline__ void enter_product() {
    for (; product_ < line_.count(); ++product_) {
      const StreamInput& input = line_.at(product_);
      slice_ = SplitSlice::of<typename Products::Input>(input.in);
      deal_ = SplitDeal(input.out, line_.paired(product_));
      if (slice_.begin < slice_.end) {
        values_ = input.values;
        scales_ = input.scales;
        row_chunks_ = static_cast<int>(row_bytes<Weights>(input.in)) / kChunkBytes;
        scale_chunks_ = static_cast<int>(group_scale_bytes(input.in)) / kChunkBytes;
        block_ = slice_.begin;
        pass_ = 0;
        return enter_pass();
      }
      turn_ += deal_.passes();
    }
  }

  __device__ __forceinline__ void enter_pass() {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = warp % kSplitGroups;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int row = deal_.row(pass_, group, side, lane / 4);
      rows_[side] = row < 0 ? -1 : row * row_chunks_ + lane % 4;
    }
    // The row of this lane, of the 16, for what there is one of a row.
    const int row = lane < 16 ? deal_.row(pass_, group, lane / 8, lane % 8) : -1;
    if constexpr (Weights::kRowScales) {
      // By the last slice, which is never empty.
      if (row >= 0 && warp / kSplitGroups == kSplitSlices - 1)
        copy_4_bytes(row_scales_ + turn_ % kScalePasses * kPassRows + group * 16 + lane,
                     static_cast<const float*>(scales_) + row);
    }
    if constexpr (Weights::kGroupScales) group_scales_ = row < 0 ? -1 : row * scale_chunks_;
  }

  const Line line_;
  char* const ring_;
  float* const row_scales_;
  SplitDeal deal_;
  SplitSlice slice_;
  const char* values_;
  const void* scales_;
  int product_ = 0, pass_ = 0, block_ = 0;
  int turn_ = 0;  // passes of all products so far
  int row_chunks_, scale_chunks_;
  int rows_[2];            // first chunk of the lane's rows g and g + 8, or -1
  int group_scales_ = -1;  // first chunk of a row's scales, or -1
};

// Shared memory of a block: rings, scales of rows, sums of the warps (of two passes, [slice][group]
// [g][row of x] for the rows g and g + 8 of W), pieces and scales of x.
template <class Products, int kStages>
struct SplitShared {
  using Weights = typename Products::Weights;
  using Ring = SplitRing<Products, kStages, OneProduct<false>>;
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
template <class Weights, class Tail>
__device__ __forceinline__ void add_slices(const float2* sums, const float* row_scales, int pass,
                                           const SplitDeal& deal, int rows, Tail& tail) {
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

// A block's way through the products of a launch. Its rings run ahead, also beyond the end of a
// product.
template <class Products, int kStages, class Line>
class SplitWalk {
 public:
  using Weights = typename Products::Weights;
  using Input = typename Products::Input;
  using Memory = SplitShared<Products, kStages>;
  using Ring = SplitRing<Products, kStages, Line>;

  __device__ SplitWalk(const Line& line, char* shared, int rows)
      : ring_(line, shared + threadIdx.x / 32 * Ring::kBytes, row_scales_of(shared)),
        shared_(shared),
        rows_(rows) {}

  // Where split x stands: all threads meet after it is written and before multiply().
  __device__ char* pieces() const { return shared_ + Memory::input_at(rows_); }

  __device__ __forceinline__ void fetch(int slot) { ring_.fetch(slot); }

  // The next product: its sums go to `tail`, in threads of the first warps.
  template <class Tail>
  __device__ __forceinline__ void multiply(const StreamInput& input, Tail& tail) {
    constexpr int kPieces = Input::kShared / kSplitInputs;  // of a K-block
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const SplitDeal deal(input.out, Tail::kPaired);
    const SplitSlice slice = SplitSlice::of<Input>(input.in);
    const int row = min(lane / 8, rows_ - 1), stride = rows_ * kSplitPiece;
    const char* const x = pieces() + Products::place(lane, row);
    const auto* const x_scales =
        reinterpret_cast<const float*>(pieces() +
                                       static_cast<std::size_t>(shared_scales<Input>(input.in)) *
                                           kPieces * stride) +
        min(lane % 4, rows_ - 1);
    auto* const sums_of_all = reinterpret_cast<float2*>(shared_ + Memory::sums_at());
    for (int index = 0; index < deal.passes(); ++index, ++turn_) {
      typename Products::Sums sums;
      for (int block = slice.begin; block < slice.end; ++block) {
        wait_for_copies<kStages - 1>();
        // Scales, unlike values, are read by other threads than the one that fetched them.
        if constexpr (Weights::kGroupScales) __syncwarp();
        const LaneWeights<Weights> weights(ring_.stage(slot_));
        if constexpr (Weights::kGroupScales) __syncwarp();
        ring_.fetch(slot_);  // what was there is in registers
        Products::add(sums, weights, {.first = x + block * kPieces * stride, .stride = stride},
                      Input::kScaled ? x_scales[block * rows_] : 1.0F);
        if (++slot_ == kStages) slot_ = 0;
      }
      float2* const buffer = sums_of_all + turn_ % 2 * Memory::sums(rows_);
      if (lane % 4 < rows_)
        buffer[(warp * 8 + lane / 4) * rows_ + lane % 4] = {
            sums.of_row[0], sums.of_row[std::size(sums.of_row) / 2]};
      __syncthreads();
      add_slices<Weights>(buffer, row_scales_of(shared_) + turn_ % kScalePasses * kPassRows, index,
                          deal, rows_, tail);
    }
  }

 private:
  static __device__ float* row_scales_of(char* shared) {
    return reinterpret_cast<float*>(shared + Memory::kRings);
  }

  Ring ring_;
  char* const shared_;
  const int rows_;
  int slot_ = 0;
  int turn_ = 0;  // passes of all products so far
};

// `Tail` as for stream_kernel().
template <class Products, int kStages, class Tail>
__global__ void __launch_bounds__(kSplitThreads, 1)
    split_kernel(const StreamInput input, Tail tail) {
  extern __shared__ __align__(128) char shared[];
  using Line = OneProduct<Tail::kPaired>;
  SplitWalk<Products, kStages, Line> walk(Line{input}, shared, input.rows);
  // The last stage later: requests for weights are in the way of those for x.
#pragma unroll 1
  for (int stage = 0; stage < kStages - 1; ++stage) walk.fetch(stage);
  let_next_kernel_start();
  wait_for_previous_kernels();
  split_rows<typename Products::Input>(input, walk.pieces());
  walk.fetch(kStages - 1);
  __syncthreads();
  walk.multiply(input, tail);
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
