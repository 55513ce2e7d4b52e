#pragma once

// What a warp does with a K-block of stored weights and the split rows of x (split_input.cuh), for
// each format: see split_stream.cuh.

#include <cstdint>

#include "model/kernels/split_input.cuh"
#include "model/kernels/weight_stream.cuh"

namespace captiond::kernels {

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

// Which launches of a format keep to kSplitFewRegisters.
enum class FewRegisters {
  kNever,
  kInFrontOfAttention,  // of one or two rows
  kAlways,
};

// Of each format: the groups of a pass where W has many rows, which launches have few registers,
// the stages of a warp's ring, the sums it keeps, where in a piece a lane finds what it multiplies
// for row `row` of x, and the products of one K-block, added times `scale`.

struct Int8Products {
  using Weights = Int8Weights;
  using Input = Int8Input;
  using Sums = TwoSums;
  static constexpr int kGroupsOfWide = 2;
  static constexpr auto kFewRegisters = FewRegisters::kNever;
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
  static constexpr int kGroupsOfWide = 4;
  static constexpr auto kFewRegisters = FewRegisters::kAlways;
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
  static constexpr int kGroupsOfWide = 2;
  static constexpr auto kFewRegisters = FewRegisters::kInFrontOfAttention;
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
  static constexpr int kGroupsOfWide = 2;
  static constexpr auto kFewRegisters = FewRegisters::kNever;
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

}  // namespace captiond::kernels
