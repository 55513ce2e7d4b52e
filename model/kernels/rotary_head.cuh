#pragma once

#include <cstddef>

#include "model/kernels/rotary.h"
#include "model/kernels/row_values.cuh"

// One head in the registers of a warp: its norm and rope, for rotary.cu and for decode attention,
// which make the same bits of the same head.

namespace captiond::kernels {

// kVector pairs side by side in a lane, kSteps times. head_dim / 2 is 32 * kVector * kSteps, or
// less when kVector is 1.
template <int kVector, int kSteps>
struct RotaryHead {
  float low[kSteps][kVector];   // pair i
  float high[kSteps][kVector];  // pair i + head_dim / 2

  static __device__ int pair(int step) {
    return (step * 32 + static_cast<int>(threadIdx.x % 32)) * kVector;
  }

  __device__ void load(const __nv_bfloat16* from, int half) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      load_part(from, pair(s), half, low[s]);
      load_part(from + half, pair(s), half, high[s]);
    }
  }
  // To where place(dim) says for a lane's first dims.
  template <typename Place>
  __device__ void store_at(Place place, int half) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (kVector == 1 && pair(s) >= half) continue;
      store_part(place(pair(s)), low[s]);
      store_part(place(pair(s) + half), high[s]);
    }
  }
  __device__ void store(__nv_bfloat16* to, int half) const {
    store_at([&](int dim) { return to + dim; }, half);
  }

  // 1 / sqrt(mean of the squares + eps) of the warp's head.
  __device__ float scale(int dim, float eps) const {
    float sum = 0.0F;
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) sum += low[s][i] * low[s][i] + high[s][i] * high[s][i];
    }
    return 1.0F / sqrtf(warp_sum(sum) / static_cast<float>(dim) + eps);
  }

 private:
  struct alignas(2 * kVector) Part {
    __nv_bfloat16 values[kVector];
  };
  static __device__ void load_part(const __nv_bfloat16* from, int first, int half,
                                   float (&to)[kVector]) {
    Part part = {};
    if (kVector > 1 || first < half) part = *reinterpret_cast<const Part*>(from + first);
#pragma unroll
    for (int i = 0; i < kVector; ++i) to[i] = __bfloat162float(part.values[i]);
  }
  static __device__ void store_part(__nv_bfloat16* to, const float (&from)[kVector]) {
    Part part;
#pragma unroll
    for (int i = 0; i < kVector; ++i) part.values[i] = __float2bfloat16(from[i]);
    *reinterpret_cast<Part*>(to) = part;
  }
};

// rms(head) * weight, rounded; without weight unless kWeighted.
template <bool kWeighted, int kVector, int kSteps>
__device__ RotaryHead<kVector, kSteps> normed(RotaryHead<kVector, kSteps> head,
                                              const RotaryHead<kVector, kSteps>& weight,
                                              float scale) {
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float low = head.low[s][i] * scale;
      const float high = head.high[s][i] * scale;
      head.low[s][i] = rounded(kWeighted ? low * weight.low[s][i] : low);
      head.high[s][i] = rounded(kWeighted ? high * weight.high[s][i] : high);
    }
  }
  return head;
}

// Cosine and sine of a lane's pairs at one position; pairs that do not turn have 1 and 0.
template <int kVector, int kSteps>
struct RotaryTurn {
  float cosine[kSteps][kVector];
  float sine[kSteps][kVector];

  __device__ void compute(const RotateAndStore& work, int position) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const int pair = RotaryHead<kVector, kSteps>::pair(s) + i;
        cosine[s][i] = 1.0F;
        sine[s][i] = 0.0F;
        if (pair >= work.rotary_pairs) continue;
        // The accurate form: angles reach the number of positions.
        sincosf(static_cast<float>(position) * work.inverse_frequency[pair], &sine[s][i],
                &cosine[s][i]);
        sine[s][i] = rounded(sine[s][i]);
        cosine[s][i] = rounded(cosine[s][i]);
      }
    }
  }

  __device__ void apply(RotaryHead<kVector, kSteps>& head) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float low = head.low[s][i];
        const float high = head.high[s][i];
        head.low[s][i] = rounded(rounded(low * cosine[s][i]) + rounded(high * -sine[s][i]));
        head.high[s][i] = rounded(rounded(high * cosine[s][i]) + rounded(low * sine[s][i]));
      }
    }
  }
};

// Where the keys of the row's position and `kv_head` stand; the values are `values` later.
__device__ inline __nv_bfloat16* slot(const RotateAndStore& work, const KvRow& row, int kv_head) {
  const int page = work.pages[row.page_begin + row.position / kKvPagePositions];
  const std::size_t line =
      static_cast<std::size_t>(kv_head) * kKvPagePositions + row.position % kKvPagePositions;
  return work.kv.base + page * work.kv.page_values() + line * work.kv.head_dim;
}

}  // namespace captiond::kernels
