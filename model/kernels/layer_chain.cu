// Several products and the norms between them in one launch of one block a multiprocessor. Between
// two kernels the multiprocessors run dry: 2.4 us at each of six a layer in int4, 2.2 us for each
// norm (docs/performance.md, one row, H200). Here a block's rings of weights go on to the next
// product while it waits for the other blocks' part of x, and each block norms the row for itself
// while it splits it.
//
// Blocks meet by counters in global memory, so all of them have to run at the same time. They do:
// there are no more than multiprocessors, what was enqueued before ends without them, and nothing
// enqueued after starts before all of them have.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "model/kernels/gate_up_tail.cuh"
#include "model/kernels/layer_chain.h"
#include "model/kernels/linear_tail.cuh"
#include "model/kernels/residual_row.cuh"
#include "model/kernels/split_stream.cuh"

namespace captiond::kernels {
namespace {

constexpr int kProducts = 4;             // at most
constexpr int kMeetings = 3;             // of all blocks: before each product or seam but the first
constexpr int kArrivals = kSplitGroups;  // of a block, by the warps that have written
constexpr int kCounterStride = 32;       // each in a line of the cache of its own
static_assert(kMeetings * kCounterStride * sizeof(unsigned) <= kChainCounterBytes);

// The seam in front of a product (norm.h); `sublayer` null: none.
struct Seam {
  const __nv_bfloat16* sublayer = nullptr;
  const __nv_bfloat16* post_weight = nullptr;
  const __nv_bfloat16* scalar = nullptr;
  const __nv_bfloat16* pre_weight = nullptr;
  const __nv_bfloat16* before = nullptr;  // the residual stream
  __nv_bfloat16* after = nullptr;
};

struct Product {
  StreamInput input;
  Seam seam;
  __nv_bfloat16* y = nullptr;
  bool paired = false;
};

struct Work {
  Product products[kProducts];
  int count = 0;
  Seam last;  // without a product after it; `sublayer` null: none
  unsigned* counters = nullptr;
  int hidden = 0;
  int rows = 0;
  float eps = 0.0F;
};

// The products of a launch as SplitRing walks them.
struct Products {
  const Work& work;

  __device__ int count() const { return work.count; }
  __device__ const StreamInput& at(int index) const { return work.products[index].input; }
  __device__ bool paired(int index) const { return work.products[index].paired; }
};

// The counters that blocks meet by. Zero before a launch, but for the last, which the launch itself
// zeroes: nobody arrives there before block 0 has arrived elsewhere.
class Meeting {
 public:
  __device__ explicit Meeting(unsigned* counters) : counters_(counters) {}

  // By block 0 before it arrives anywhere.
  __device__ void open() const {
    if (threadIdx.x == 0) *at(kMeetings - 1) = 0;
  }
  // Says that all that this warp has written, and what the warps that it has met with have, can be
  // read.
  __device__ void arrive(int meeting) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0)
      asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(at(meeting)) : "memory");
  }
  // Returns when all blocks have arrived; all threads call it.
  __device__ void wait(int meeting) const {
    if (threadIdx.x == 0) {
      unsigned arrived = 0;
      do {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                     : "=r"(arrived)
                     : "l"(at(meeting))
                     : "memory");
      } while (arrived < gridDim.x * kArrivals);
    }
    __syncthreads();
  }
  // By block 0 after the last meeting: all have left the others.
  __device__ void close() const {
    for (int meeting = 0; meeting + 1 < kMeetings && threadIdx.x == 0; ++meeting) *at(meeting) = 0;
  }

 private:
  __device__ unsigned* at(int meeting) const { return counters_ + meeting * kCounterStride; }

  unsigned* const counters_;
};

__device__ __forceinline__ void widen(const uint4& raw, float (&values)[kLane]) {
#pragma unroll
  for (int word = 0; word < 4; ++word) {
    values[2 * word] = __uint_as_float(word_of(raw, word) << 16);
    values[2 * word + 1] = __uint_as_float(word_of(raw, word) & 0xffff0000U);
  }
}

// A seam as a block takes it, eight values a thread. Made before the row is there: its weights are.
class SeamRows {
 public:
  __device__ SeamRows(const Seam& seam, int width, float eps)
      : seam_(seam), width_(width), eps_(eps), mine_(column() < width) {
    if (!mine_) return;
    post_ = *reinterpret_cast<const uint4*>(seam.post_weight + column());
    if (seam.pre_weight != nullptr)
      pre_ = *reinterpret_cast<const uint4*>(seam.pre_weight + column());
  }

  // The eight values of a row after the seam's second norm; without one, nothing of worth. Block 0
  // writes the residual stream. `scratch`: as for two of block_sum().
  __device__ __forceinline__ EightInputs take(int row, float (&scratch)[2][32]) const {
    const std::size_t at = static_cast<std::size_t>(row) * width_ + column();
    float x[kLane] = {}, hidden[kLane] = {}, weight[kLane];
    if (mine_) {
      const uint4 raw_x = __ldcg(reinterpret_cast<const uint4*>(seam_.sublayer + at));
      const uint4 raw_hidden = __ldcg(reinterpret_cast<const uint4*>(seam_.before + at));
      widen(raw_x, x);
      widen(raw_hidden, hidden);
    }
    widen(post_, weight);
    add_residual(hidden, x, weight, rms_scale(x, width_, eps_, scratch[0]), seam_.scalar);
    if (mine_ && blockIdx.x == 0) store_values(seam_.after + at, hidden);
    EightInputs part{.raw = {0, 0, 0, 0}, .factor = 0.0F};
    if (seam_.pre_weight == nullptr) return part;
    const float next = rms_scale(hidden, width_, eps_, scratch[1]);
    if (!mine_) return part;
    widen(pre_, weight);
#pragma unroll
    for (int i = 0; i < kLane; ++i) hidden[i] = hidden[i] * next * weight[i];
    part.raw = {two(hidden[0], hidden[1]), two(hidden[2], hidden[3]), two(hidden[4], hidden[5]),
                two(hidden[6], hidden[7])};
    return part;
  }

 private:
  static __device__ int column() { return static_cast<int>(threadIdx.x) * kLane; }
  static __device__ std::uint32_t two(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }

  const Seam& seam_;
  const int width_;
  const float eps_;
  const bool mine_;
  uint4 post_ = {0, 0, 0, 0}, pre_ = {0, 0, 0, 0};
};

// Registers of a thread, so that a block of decode attention (256 threads with 80) fits beside this
// one and fetches its keys while the last product works; and this one, its first weights beside it.
constexpr int kRegisters = 88;

template <class Format, int kStages>
__global__ void __maxnreg__(kRegisters) chain_kernel(const __grid_constant__ Work work) {
  extern __shared__ __align__(128) char shared[];
  __shared__ float scratch[kSplitRowsMax][2][32];
  using Input = typename Format::Input;
  SplitWalk<Format, kStages, Products> walk(Products{work}, shared, work.rows);
  const Meeting meeting(work.counters);
#pragma unroll 1
  for (int stage = 0; stage < kStages - 1; ++stage) walk.fetch(stage);
  let_next_kernel_start();
  wait_for_previous_kernels();
  if (blockIdx.x == 0) meeting.open();
#pragma unroll 1
  for (int index = 0; index < work.count; ++index) {
    const Product& product = work.products[index];
    if (product.seam.sublayer == nullptr) {
      if (index > 0) meeting.wait(index - 1);
      split_rows<Input>(product.input, walk.pieces());
    } else {
      const SeamRows seam(product.seam, work.hidden, work.eps);
      meeting.wait(index - 1);
      const SplitRows<Input> split(walk.pieces(), work.hidden, work.rows);
      for (int row = 0; row < work.rows; ++row)
        split.put(row, static_cast<int>(threadIdx.x), seam.take(row, scratch[row]));
    }
    if (index == 0) walk.fetch(kStages - 1);  // later: it would be in the way of x
    __syncthreads();
    if (product.paired) {
      GateUpTail tail{product.y, product.input.out / 2, work.rows};
      walk.multiply(product.input, tail);
    } else {
      LinearTail<ToBf16> tail{{product.y}, product.input.out, work.rows};
      walk.multiply(product.input, tail);
    }
    if (index < kMeetings && threadIdx.x < kArrivals * 32) meeting.arrive(index);
  }
  if (blockIdx.x != 0) return;
  if (work.last.sublayer != nullptr) {
    const SeamRows seam(work.last, work.hidden, work.eps);
    meeting.wait(work.count - 1);
    for (int row = 0; row < work.rows; ++row) seam.take(row, scratch[row]);
  }
  meeting.close();
}

StreamInput input_of(const Matrix& w, const __nv_bfloat16* x, int rows) {
  return {.values = static_cast<const char*>(w.values),
          .scales = w.scales,
          .x = x,
          .out = w.out,
          .in = w.in,
          .rows = rows};
}

bool has_next(const LayerChain& chain) { return chain.query_key_value.values != nullptr; }

Work work_of(const LayerChain& chain) {
  const Seam attention_seam{.sublayer = chain.sublayer,
                            .post_weight = chain.post_attention_norm,
                            .scalar = nullptr,
                            .pre_weight = chain.pre_feedforward_norm,
                            .before = chain.hidden,
                            .after = chain.middle};
  const Seam next_seam{.sublayer = chain.sublayer,
                       .post_weight = chain.post_feedforward_norm,
                       .scalar = chain.scalar,
                       .pre_weight = chain.input_norm,
                       .before = chain.middle,
                       .after = chain.hidden};
  Work work{.products = {{.input = input_of(chain.attention_out, chain.attended, chain.rows),
                          .seam = {},
                          .y = chain.sublayer,
                          .paired = false},
                         {.input = input_of(chain.gate_up, nullptr, chain.rows),
                          .seam = attention_seam,
                          .y = chain.active,
                          .paired = true},
                         {.input = input_of(chain.down, chain.active, chain.rows),
                          .seam = {},
                          .y = chain.sublayer,
                          .paired = false}},
            .count = 3,
            .last = {},
            .counters = static_cast<unsigned*>(chain.counters),
            .hidden = chain.gate_up.in,
            .rows = chain.rows,
            .eps = chain.eps};
  if (!has_next(chain)) {
    work.last = next_seam;
    return work;
  }
  work.products[3] = {.input = input_of(chain.query_key_value, nullptr, chain.rows),
                      .seam = next_seam,
                      .y = chain.projected,
                      .paired = false};
  work.count = 4;
  return work;
}

int widest_input(const LayerChain& chain) {
  return std::max({chain.attention_out.in, chain.gate_up.in, chain.down.in});
}

template <class Format, int kStages>
cudaError_t launch_chain(const LayerChain& chain, cudaStream_t stream) {
  const Work work = work_of(chain);
  int blocks = chain.blocks;
  for (int i = 0; i < work.count; ++i)
    blocks = std::min(blocks, work.products[i].input.out / (work.products[i].paired ? 2 : 1));
  const LaunchShape shape{
      .blocks = dim3(static_cast<unsigned>(blocks)),
      .threads = dim3(kSplitThreads),
      .shared_bytes = SplitShared<Format, kStages>::bytes(widest_input(chain), chain.rows)};
  return launch(chain_kernel<Format, kStages>, shape, stream, work);
}

// The scratch of sums is shared memory that bytes() does not count.
constexpr std::size_t kSharedOfChain = kSharedOfBlock - sizeof(float) * kSplitRowsMax * 2 * 32;

template <class Format>
bool fits(const LayerChain& chain) {
  return SplitShared<Format, kStagesLeast<Format>>::bytes(widest_input(chain), chain.rows) <=
         kSharedOfChain;
}

template <class Format>
cudaError_t launch_format(const LayerChain& chain, cudaStream_t stream) {
  constexpr int kStages = Format::kStages;
  if (SplitShared<Format, kStages>::bytes(widest_input(chain), chain.rows) <= kSharedOfChain)
    return launch_chain<Format, kStages>(chain, stream);
  return launch_chain<Format, kStagesLeast<Format>>(chain, stream);
}

bool fits(const LayerChain& chain) {
  switch (chain.gate_up.format) {
    case MatrixFormat::kBf16:
      return fits<Bf16Products>(chain);
    case MatrixFormat::kFp8:
      return fits<Fp8Products>(chain);
    case MatrixFormat::kInt8:
      return fits<Int8Products>(chain);
    case MatrixFormat::kInt4:
      return fits<Int4Products>(chain);
  }
  return false;
}

bool is_chainable(const Matrix& w, MatrixFormat format, int out, int in) {
  return streams(w) && w.format == format && w.out == out && w.in == in;
}

bool is_complete(const LayerChain& chain) {
  const bool next = has_next(chain);
  const void* const needed[] = {chain.post_attention_norm,
                                chain.pre_feedforward_norm,
                                chain.post_feedforward_norm,
                                chain.attended,
                                chain.hidden,
                                chain.middle,
                                chain.sublayer,
                                chain.active,
                                chain.counters};
  for (const void* pointer : needed)
    if (pointer == nullptr || reinterpret_cast<std::uintptr_t>(pointer) % 16 != 0) return false;
  return next == (chain.input_norm != nullptr) && (!next || chain.projected != nullptr) &&
         chain.blocks > 0;
}

}  // namespace

bool chains(const LayerChain& chain) noexcept {
  const int hidden = chain.gate_up.in;
  const MatrixFormat format = chain.gate_up.format;
  return hidden <= kChainHiddenMax && chain.gate_up.out % 2 == 0 && chain.rows >= 1 &&
         chain.rows <= kSplitRowsMax &&
         is_chainable(chain.gate_up, format, chain.gate_up.out, hidden) &&
         is_chainable(chain.attention_out, format, hidden, chain.attention_out.in) &&
         is_chainable(chain.down, format, hidden, chain.gate_up.out / 2) &&
         (!has_next(chain) ||
          is_chainable(chain.query_key_value, format, chain.query_key_value.out, hidden)) &&
         fits(chain);
}

cudaError_t run_layer_chain(const LayerChain& chain, cudaStream_t stream) noexcept {
  if (!chains(chain) || !is_complete(chain)) return cudaErrorInvalidValue;
  switch (chain.gate_up.format) {
    case MatrixFormat::kBf16:
      return launch_format<Bf16Products>(chain, stream);
    case MatrixFormat::kFp8:
      return launch_format<Fp8Products>(chain, stream);
    case MatrixFormat::kInt8:
      return launch_format<Int8Products>(chain, stream);
    case MatrixFormat::kInt4:
      return launch_format<Int4Products>(chain, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace captiond::kernels
