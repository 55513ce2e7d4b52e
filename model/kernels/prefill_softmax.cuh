#pragma once

#include <cmath>
#include <cstddef>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"

// The running softmax of prefill attention: scores of a warpgroup's 64 lines (rows of the step by
// query heads of one KV head) with a tile of keys, laid out as mma.m16n8 lays out its results. A
// lane has parts of two lines: lane / 4 of its warp's 16 and the one 8 below.

namespace captiond::kernels::prefill {

// The keys that a line, or a whole tile of lines, sees.
struct Run {
  int begin = 0;
  int end = 0;
};

// 2^x, within 2 units in the last place; 0 below 2^-126.
__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Keeps what an asynchronous product has written from being read before this point.
template <int kCount>
__device__ __forceinline__ void settle(float (&values)[kCount][4]) {
#pragma unroll
  for (int n = 0; n < kCount; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(values[n][i])::"memory");
  }
}

// kParts: of eight keys, in a warpgroup's scores of a tile of kTileKeys.
template <int kParts, int kTileKeys>
class Softmax {
 public:
  using Scores = float[kParts][4];

  // `lines`: the lane's two, of the block; a line's row is line / sharing.
  __device__ Softmax(const KvRow* rows, int count, int sharing, const int (&lines)[2]) {
    for (int i = 0; i < 2; ++i) {
      const int row = lines[i] / sharing;
      if (row < count) run_[i] = {rows[row].first_key, rows[row].end_key};
    }
    all_ = {rows[0].first_key, rows[count - 1].end_key};
    common_ = {rows[count - 1].first_key, rows[0].end_key};
  }

  __device__ const Run& all() const { return all_; }

  // Scores, times `unit`, become weights, of the greatest exponent that join(greatest of the lane's
  // two lines) gives; `rescale` is what the sums so far have to be multiplied by. The warpgroup's
  // keys begin at `first`, the tile at `tile`.
  template <typename Join>
  __device__ __forceinline__ void weigh(Scores& scores, int tile, int first, float unit,
                                        float (&rescale)[2], Join join) {
    if (tile < common_.begin || tile + kTileKeys > common_.end) hide(scores, first);
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < kParts; ++n) {
      most[0] = fmaxf(most[0], fmaxf(scores[n][0], scores[n][1]));
      most[1] = fmaxf(most[1], fmaxf(scores[n][2], scores[n][3]));
    }
#pragma unroll
    for (float& value : most) value = quad_max(value);
    join(most);
    const float exponent = unit * kLog2E;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      most[i] = fmaxf(most[i], most_[i]);
      // While nothing has been seen all scores are -inf (or NaN), and so are their exponents.
      rescale[i] = most_[i] == -INFINITY ? 0.0F : power_of_two((most_[i] - most[i]) * exponent);
      most_[i] = most[i];
      most[i] = most[i] == -INFINITY ? 0.0F : most[i] * exponent;
    }
    float total[2] = {};
#pragma unroll
    for (int n = 0; n < kParts; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[n][i] = power_of_two(fmaf(scores[n][i], exponent, -most[i / 2]));
        total[i / 2] += scores[n][i];
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) total_[i] = total_[i] * rescale[i] + quad_sum(total[i]);
  }

  // Of the weights so far, by the lane's lines.
  __device__ float total(int i) const { return total_[i]; }

 private:
  // What a line does not see becomes -inf.
  __device__ __forceinline__ void hide(Scores& scores, int first) const {
    const int own = first + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int n = 0; n < kParts; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = own + n * 8 + i % 2;
        const Run& seen = run_[i / 2];
        if (key < seen.begin || key >= seen.end) scores[n][i] = -INFINITY;
      }
    }
  }

  Run run_[2];
  Run all_;     // what any line sees
  Run common_;  // what every line sees
  float most_[2] = {-INFINITY, -INFINITY};
  float total_[2] = {};
};

// Mostly no line of the warp has found a greater score.
template <int kCount>
__device__ __forceinline__ void scale_sums(float (&sums)[kCount][4], const float (&rescale)[2]) {
  if (__all_sync(0xffffffffU, rescale[0] == 1.0F && rescale[1] == 1.0F)) return;
#pragma unroll
  for (int n = 0; n < kCount; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[n][i] *= rescale[i / 2];
  }
}

}  // namespace captiond::kernels::prefill
