#pragma once

// A row of norm.cu or norm_packing.cu, made by the threads of a block that multiplied.

#include <cstdint>

#include "model/kernels/norm_behind.h"
#include "model/kernels/residual_row.cuh"
#include "model/kernels/row_packing.cuh"
#include "model/kernels/row_values.cuh"
#include "model/kernels/takers.cuh"

namespace captiond::kernels {

inline constexpr int kEightsOfTaker = kNormBehindWidthMax / kLane / kTakers;

// Shared memory of the phase.
struct NormScratch {
  float sums[2][32];
  std::uint32_t most[32];
};

// Eight values of a row, not looked at yet.
struct RawEights {
  uint4 raw[kEightsOfTaker];

  __device__ static int index(int i) { return i * kTakers + static_cast<int>(threadIdx.x); }
  __device__ void load(const __nv_bfloat16* row, int width) {
#pragma unroll
    for (int i = 0; i < kEightsOfTaker; ++i)
      raw[i] = index(i) < width / kLane
                   ? __ldcg(reinterpret_cast<const uint4*>(row + index(i) * kLane))
                   : uint4{};
  }
  __device__ void values(int i, float (&eight)[kLane]) const {
    load_values(reinterpret_cast<const __nv_bfloat16*>(&raw[i]), eight);
  }
};

// block_sum() of threads for eight values each: warp by warp, then the warps.
__device__ __forceinline__ float takers_rms_scale(const float (&x)[kEightsOfTaker][kLane],
                                                  int width, float eps, float* scratch) {
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kEightsOfTaker; ++i) {
    const float sum = warp_sum(sum_of_squares(x[i]));
    if (lane == 0) scratch[i * kTakerWarps + static_cast<int>(threadIdx.x) / 32] = sum;
  }
  wait_for_takers();
  const auto warps = static_cast<unsigned>(width / kLane + 31) / 32;
  return scale_of_mean(warp_sum(lane < warps ? scratch[lane] : 0.0F), width, eps);
}

__device__ __forceinline__ void pack_takers_row(float (&y)[kEightsOfTaker][kLane], int width,
                                                const PackedRows& packed, int row,
                                                std::uint32_t* scratch) {
  const int stored = (width / kLane + 1) / 2 * 2;  // 16 bytes at a time
  std::uint32_t most = 0;
#pragma unroll
  for (auto& eight : y) {
    round_values(eight);
#pragma unroll
    for (const float value : eight) most = max(most, size_of(value));
  }
  most = __reduce_max_sync(~0U, most);
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) scratch[threadIdx.x / 32] = most;
  wait_for_takers();
  const float scale = scale_of_row(__reduce_max_sync(~0U, lane < kTakerWarps ? scratch[lane] : 0U));
  if (threadIdx.x == 0) packed.scales[row] = scale;
  const Divisor divisor(scale);
  auto* const target = static_cast<uint2*>(packed.values) + static_cast<std::size_t>(row) * stored;
#pragma unroll
  for (int i = 0; i < kEightsOfTaker; ++i)
    if (RawEights::index(i) < stored) target[RawEights::index(i)] = divisor.packed(y[i]);
}

// What does not depend on the product, asked for while the other blocks arrive.
struct NormRow {
  RawEights hidden, post, pre;

  __device__ void load_weights(const ResidualNorm& norm) {
    post.load(norm.post_weight, norm.width);
    pre.load(norm.pre_weight, norm.width);
  }
  __device__ void load_hidden(const ResidualNorm& norm, int row) {
    hidden.load(norm.hidden + static_cast<std::size_t>(row) * norm.width, norm.width);
  }
  // The row's sublayer output is there.
  __device__ void norm(const ResidualNorm& norm, const PackedRows& packed, int row,
                       NormScratch& scratch) const {
    const std::size_t begin = static_cast<std::size_t>(row) * norm.width;
    const int eights = norm.width / kLane;
    RawEights sublayer;
    sublayer.load(norm.sublayer + begin, norm.width);
    float x[kEightsOfTaker][kLane], y[kEightsOfTaker][kLane];
#pragma unroll
    for (int i = 0; i < kEightsOfTaker; ++i) {
      sublayer.values(i, x[i]);
      hidden.values(i, y[i]);
    }
    const float scale = takers_rms_scale(x, norm.width, norm.eps, scratch.sums[0]);
#pragma unroll
    for (int i = 0; i < kEightsOfTaker; ++i) {
      float weight[kLane];
      post.values(i, weight);
      add_residual(y[i], x[i], weight, scale, norm.scalar);
      if (RawEights::index(i) < eights)
        store_values(norm.hidden + begin + RawEights::index(i) * kLane, y[i]);
    }
    const float next = takers_rms_scale(y, norm.width, norm.eps, scratch.sums[1]);
#pragma unroll
    for (int i = 0; i < kEightsOfTaker; ++i) {
      float weight[kLane];
      pre.values(i, weight);
#pragma unroll
      for (int j = 0; j < kLane; ++j) y[i][j] = y[i][j] * next * weight[j];
    }
    if (packed.values != nullptr) return pack_takers_row(y, norm.width, packed, row, scratch.most);
#pragma unroll
    for (int i = 0; i < kEightsOfTaker; ++i)
      if (RawEights::index(i) < eights)
        store_values(norm.y + begin + RawEights::index(i) * kLane, y[i]);
  }
};

// Rows `row`, `row` + `stride` … below `end`, by the threads of a block that multiply, none if
// there is none; `wait` returns once they stand in norm.sublayer.
template <class Wait>
__device__ __forceinline__ void norm_rows(const NormBehind& behind, int row, int end, int stride,
                                          NormScratch& scratch, const Wait& wait) {
  if (row >= end) return;
  NormRow taken;
  taken.load_weights(behind.norm);
  taken.load_hidden(behind.norm, row);
  wait();
  for (;;) {
    taken.norm(behind.norm, behind.packed, row, scratch);
    row += stride;
    if (row >= end) return;
    taken.load_hidden(behind.norm, row);
  }
}

}  // namespace captiond::kernels
