#pragma once

#include <cstddef>

#include <cuda_bf16.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/residual_row.cuh"
#include "model/kernels/row_values.cuh"
#include "model/kernels/split_input.cuh"

// Where the rows of a product of one to four rows come from: from memory, or from the norm in front
// of it, which every block makes for itself.
//
// A norm of its own costs a kernel between two products. Made by the product it must not wait for
// sums over a row: the squares of the sublayer's rows are added by the product that made them, a
// number a warp, of which one warp here makes the factor of the first norm beside the loads of all
// others (were every warp to read them, 16 times as many requests would meet in a few lines of the
// L2 cache); and the factor of the second norm, one for a row, stands outside the products, to
// whose sums it is applied.
namespace captiond::kernels {

inline constexpr int kSplitWarpsOfBlock = kSplitThreads / 32;

struct PlainSource {
  static constexpr std::size_t kSharedBytes = 0;
  static constexpr bool kNormed = false;

  __device__ __forceinline__ void prepare(const StreamInput&) {}
  template <class Input, class Between>
  __device__ __forceinline__ void split(const StreamInput& input, char* pieces, float*,
                                        const Between& between) const {
    split_rows<Input>(input, pieces, between);
  }
  static __device__ __forceinline__ float factor(const StreamInput&, const float*, int) {
    return 1.0F;
  }
};

// `shared` of split() and factor(), kSharedBytes: for each row the sums of squares of its warps,
// then the factors of the first norm.
struct NormedSource {
  static constexpr std::size_t kSharedBytes =
      kSplitRowsMax * (kSplitWarpsOfBlock + 1) * sizeof(float);
  static constexpr bool kNormed = true;
  NormedRows rows;
  uint4 post, pre;  // of the thread's eight values

  // What does not depend on the kernels before.
  __device__ __forceinline__ void prepare(const StreamInput& input) {
    const int k = static_cast<int>(threadIdx.x) * kLane;
    post = pre = {};
    if (k >= input.in) return;
    post = *reinterpret_cast<const uint4*>(rows.post_weight + k);
    pre = *reinterpret_cast<const uint4*>(rows.pre_weight + k);
  }

  // As split_rows(): between() is called when all of the first row is asked for.
  template <class Input, class Between>
  __device__ __forceinline__ void split(const StreamInput& input, char* pieces, float* shared,
                                        const Between& between) const {
    const SplitRows<Input> split(pieces, input.in, input.rows);
    const int thread = threadIdx.x, k = thread * kLane;
    const bool keeps =
        k < input.in && thread % static_cast<int>(gridDim.x) == static_cast<int>(blockIdx.x);
    const float scalar = rows.scalar != nullptr ? __bfloat162float(*rows.scalar) : 1.0F;
    float* const factors = shared + kSplitRowsMax * kSplitWarpsOfBlock;
    Eights next(rows, 0, k, input.in);
    find_factors(input, factors, between);
    __syncthreads();
#pragma unroll 1
    for (int row = 0; row < input.rows; ++row) {
      const Eights now = next;
      if (row + 1 < input.rows) next = Eights(rows, row + 1, k, input.in);
      float hidden[kLane], sublayer[kLane], weight[kLane];
      unpack(now.hidden, hidden);
      unpack(now.sublayer, sublayer);
      unpack(post, weight);
      add_residual(hidden, sublayer, weight, factors[row], rows.scalar != nullptr, scalar);
      if (keeps)
        store_values(rows.hidden_after + static_cast<std::size_t>(row) * input.in + k, hidden);
      const float squares = sum_of_squares(hidden);
      unpack(pre, weight);
#pragma unroll
      for (int i = 0; i < kLane; ++i) hidden[i] *= weight[i];
      EightInputs eight;
      store_values(reinterpret_cast<__nv_bfloat16*>(&eight.raw), hidden);
      split.put(row, thread, eight);
      const float of_warp = warp_sum(squares);
      if (thread % 32 == 0) shared[row * kSplitWarpsOfBlock + thread / 32] = of_warp;
    }
  }

  // The factor of the second norm, for the sums of a row.
  __device__ __forceinline__ float factor(const StreamInput& input, const float* shared,
                                          int row) const {
    const auto* const parts = reinterpret_cast<const float4*>(shared + row * kSplitWarpsOfBlock);
    float sum = 0.0F;
#pragma unroll
    for (int i = 0; i < kSplitWarpsOfBlock / 4; ++i) {
      const float4 four = parts[i];
      sum += (four.x + four.y) + (four.z + four.w);
    }
    return rms_factor(sum, input.in);
  }

 private:
  // What a thread reads of a row.
  struct Eights {
    uint4 sublayer = {}, hidden = {};

    __device__ __forceinline__ Eights(const NormedRows& rows, int row, int k, int width) {
      if (k >= width) return;
      const std::size_t at = static_cast<std::size_t>(row) * width + k;
      sublayer = __ldcg(reinterpret_cast<const uint4*>(rows.sublayer + at));
      hidden = __ldcg(reinterpret_cast<const uint4*>(rows.hidden + at));
    }
  };

  __device__ __forceinline__ float rms_factor(float sum, int width) const {
    return 1.0F / sqrtf(sum / static_cast<float>(width) + rows.eps);
  }
  static __device__ __forceinline__ void unpack(const uint4& raw, float (&values)[kLane]) {
#pragma unroll
    for (int i = 0; i < kLane; ++i) {
      const std::uint32_t two = word_of(raw, i / 2);
      values[i] = __uint_as_float(i % 2 == 0 ? two << 16 : two & 0xffff0000U);
    }
  }
  // The factors of the first norm, a warp a row from the last warp on, which rows of up to 3,840
  // leave idle.
  template <class Between>
  __device__ __forceinline__ void find_factors(const StreamInput& input, float* factors,
                                               const Between& between) const {
    constexpr int kAtOnce = (kSquareSlotsMax / 4 + 31) / 32;
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int row = kSplitWarpsOfBlock - 1 - static_cast<int>(threadIdx.x / 32);
    float4 part[kAtOnce] = {};
    if (row < input.rows) {
      const auto* const slots = reinterpret_cast<const float4*>(
          rows.squares + static_cast<std::size_t>(row) * rows.slots);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        if (lane + i * 32 < rows.slots / 4) part[i] = __ldcg(slots + lane + i * 32);
    }
    between();
    if (row >= input.rows) return;
    float sum = 0.0F;
#pragma unroll
    for (const float4& four : part) sum += (four.x + four.y) + (four.z + four.w);
    sum = warp_sum(sum);
    if (lane == 0) factors[row] = rms_factor(sum, input.in);
  }
};

}  // namespace captiond::kernels
