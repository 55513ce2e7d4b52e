#pragma once

#include <cstddef>

#include "model/kernels/fp8_values.cuh"
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
    for (int i = 0; i + 1 < kVector; i += 2) {
      const __nv_bfloat162 two = __floats2bfloat162_rn(from[i], from[i + 1]);
      part.values[i] = two.x;
      part.values[i + 1] = two.y;
    }
    if constexpr (kVector == 1) part.values[0] = __float2bfloat16(from[0]);
    *reinterpret_cast<Part*>(to) = part;
  }
};

// A head of 64 * kVector dims as it is stored, which takes half the registers until its turn comes.
template <int kVector>
class StoredHead {
 public:
  __device__ __forceinline__ void load(const __nv_bfloat16* from) {
    constexpr int kHalf = 32 * kVector;
    const int first = RotaryHead<kVector, 1>::pair(0);
    low_ = *reinterpret_cast<const Part*>(from + first);
    high_ = *reinterpret_cast<const Part*>(from + kHalf + first);
  }
  __device__ __forceinline__ RotaryHead<kVector, 1> values() const {
    RotaryHead<kVector, 1> head;
#pragma unroll
    for (int i = 0; i < kVector / 2; ++i) {
      const float2 low = __bfloat1622float2(low_.twos[i]);
      const float2 high = __bfloat1622float2(high_.twos[i]);
      head.low[0][2 * i] = low.x;
      head.low[0][2 * i + 1] = low.y;
      head.high[0][2 * i] = high.x;
      head.high[0][2 * i + 1] = high.y;
    }
    return head;
  }

 private:
  struct alignas(2 * kVector) Part {
    __nv_bfloat162 twos[kVector / 2];
  };
  Part low_, high_;
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
      head.low[s][i] *= scale;
      head.high[s][i] *= scale;
      if constexpr (kWeighted) {
        head.low[s][i] *= weight.low[s][i];
        head.high[s][i] *= weight.high[s][i];
      }
    }
    round_values(head.low[s]);
    round_values(head.high[s]);
  }
  return head;
}

// Cosine and sine of a lane's pairs at one position, two pairs at once; pairs that do not turn have
// 1 and 0.
template <int kVector, int kSteps>
struct RotaryTurn {
  static constexpr int kTwos = (kVector + 1) / 2;
  __nv_bfloat162 cosine[kSteps][kTwos];
  __nv_bfloat162 sine[kSteps][kTwos];

  __device__ void compute(const RotateAndStore& work, int position) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int two = 0; two < kTwos; ++two) {
        float cosines[2] = {1.0F, 1.0F};
        float sines[2] = {};
#pragma unroll
        for (int i = 0; i < 2 && 2 * two + i < kVector; ++i) {
          const int pair = RotaryHead<kVector, kSteps>::pair(s) + 2 * two + i;
          if (pair >= work.rotary_pairs) continue;
          // The accurate form: angles reach the number of positions.
          sincosf(static_cast<float>(position) * work.inverse_frequency[pair], &sines[i],
                  &cosines[i]);
        }
        cosine[s][two] = __floats2bfloat162_rn(cosines[0], cosines[1]);
        sine[s][two] = __floats2bfloat162_rn(sines[0], sines[1]);
      }
    }
  }

  // Of a head whose values are bf16. A product of two of them is exact in float32, and so is a sum
  // wherever bf16 could round it another way: so bf16 arithmetic has the bits of float32's,
  // rounded.
  __device__ void apply(RotaryHead<kVector, kSteps>& head) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int two = 0; two < kTwos; ++two) {
        const __nv_bfloat162 low = of_two(head.low[s], two), high = of_two(head.high[s], two);
        put_two(__hsub2_rn(__hmul2_rn(low, cosine[s][two]), __hmul2_rn(high, sine[s][two])),
                head.low[s], two);
        put_two(__hadd2_rn(__hmul2_rn(high, cosine[s][two]), __hmul2_rn(low, sine[s][two])),
                head.high[s], two);
      }
    }
  }

 private:
  static __device__ __nv_bfloat162 of_two(const float (&from)[kVector], int two) {
    return __floats2bfloat162_rn(from[2 * two], kVector > 1 ? from[(2 * two + 1) % kVector] : 0.0F);
  }
  static __device__ void put_two(const __nv_bfloat162& value, float (&to)[kVector], int two) {
    const float2 both = __bfloat1622float2(value);
    to[2 * two] = both.x;
    if constexpr (kVector > 1) to[2 * two + 1] = both.y;
  }
};

// Where the key and the value of a row's position and KV head stand.
class Bf16Slot {
 public:
  __device__ Bf16Slot(const RotateAndStore& work, const KvRow& row, int kv_head)
      : half_(work.kv.head_dim / 2), values_(work.kv.page_values() / 2) {
    const int page = work.pages[row.page_begin + row.position / kKvPagePositions];
    const std::size_t line =
        static_cast<std::size_t>(kv_head) * kKvPagePositions + row.position % kKvPagePositions;
    key_ = static_cast<__nv_bfloat16*>(work.kv.base) + page * work.kv.page_values() +
           line * work.kv.head_dim;
  }
  template <int kVector, int kSteps>
  __device__ void store_key(const RotaryHead<kVector, kSteps>& head) const {
    head.store(key_, half_);
  }
  template <int kVector, int kSteps>
  __device__ void store_value(const RotaryHead<kVector, kSteps>& head) const {
    head.store(key_ + values_, half_);
  }

 private:
  const int half_;
  const std::size_t values_;
  __nv_bfloat16* key_;
};

// Four numbers of a lane, times `scale`, as e4m3.
__device__ inline unsigned four_in_fp8(const float* from, float scale) {
  return fp8::narrowed(from[0] * scale, from[1] * scale) |
         static_cast<unsigned>(fp8::narrowed(from[2] * scale, from[3] * scale)) << 16;
}

// A head, times `scale`, as e4m3 to where to(dim) says for a lane's first dims.
template <int kVector, int kSteps, typename To>
__device__ void store_fp8(const RotaryHead<kVector, kSteps>& head, int half, float scale, To to) {
  const auto store_part = [&](const float(&from)[kVector], int dim) {
    if constexpr (kVector == 1) {
      *to(dim) = static_cast<unsigned char>(fp8::narrowed(from[0] * scale, 0.0F) & 0xffU);
    } else {
      struct alignas(kVector) Words {
        unsigned words[kVector / 4];
      };
      Words out;
#pragma unroll
      for (int w = 0; w < kVector / 4; ++w) out.words[w] = four_in_fp8(from + 4 * w, scale);
      *reinterpret_cast<Words*>(to(dim)) = out;
    }
  };
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    const int pair = RotaryHead<kVector, kSteps>::pair(s);
    if (kVector == 1 && pair >= half) continue;
    store_part(head.low[s], pair);
    store_part(head.high[s], pair + half);
  }
}

class Fp8Slot {
 public:
  __device__ Fp8Slot(const RotateAndStore& work, const KvRow& row, int kv_head)
      : dim_(work.kv.head_dim),
        line_(row.position % kKvPagePositions),
        scale_(work.kv.key_scale),
        values_(work.kv.fp8_half_bytes()) {
    const int page = work.pages[row.page_begin + row.position / kKvPagePositions];
    keys_ = static_cast<unsigned char*>(work.kv.base) + page * work.kv.page_bytes() +
            static_cast<std::size_t>(kv_head) * 2 * values_;
  }
  template <int kVector, int kSteps>
  __device__ void store_key(const RotaryHead<kVector, kSteps>& head) const {
    store_fp8(head, dim_ / 2, scale_,
              [&](int dim) { return keys_ + fp8_key_offset(line_, dim, dim_); });
  }
  // Where the head's values of the page begin.
  __device__ unsigned char* values() const { return keys_ + values_; }
  template <int kVector, int kSteps>
  __device__ void store_value(const RotaryHead<kVector, kSteps>& head) const {
    if constexpr (kVector == 1) {
      store_fp8(head, dim_ / 2, kFp8ValueScale, [&](int dim) { return value_at(dim); });
    } else {
      store_across(head.low[0], 0);
      store_across(head.high[0], dim_ / 2);
    }
  }

 private:
  __device__ unsigned char* value_at(int dim) const {
    return values() + fp8_value_offset(line_, dim);
  }

  // Dims first … first + 32 * kVector - 1 of a warp, of which a lane has kVector side by side. The
  // dims of a position stand 16 bytes apart, so lanes exchange them: then a store of the warp
  // writes 32 neighbours, and half as many sectors.
  template <int kVector>
  __device__ void store_across(const float (&from)[kVector], int first) const {
    constexpr int kWords = kVector / 4;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    unsigned words[kWords];
#pragma unroll
    for (int w = 0; w < kWords; ++w) words[w] = four_in_fp8(from + 4 * w, kFp8ValueScale);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const int dim = i * 32 + lane;
      unsigned word = __shfl_sync(0xffffffffU, words[0], dim / kVector);
      if constexpr (kWords == 2) {
        const unsigned other = __shfl_sync(0xffffffffU, words[1], dim / kVector);
        if (dim % kVector >= 4) word = other;
      }
      *value_at(first + dim) = static_cast<unsigned char>(word >> dim % 4 * 8);
    }
  }

  const int dim_;
  const int line_;
  const float scale_;
  const std::size_t values_;
  unsigned char* keys_;
};

}  // namespace captiond::kernels
