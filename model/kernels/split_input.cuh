#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/weight_stream.cuh"

// How few rows of x stand in shared memory for the products that take the stored bytes of weights
// as they are (split_stream.cuh): in bf16 as they come, for packed weights split.
//
// Of every block of inputs that shares a scale, E is the exponent of the bf16 number that follows
// the largest value. The integer formats take x as v = round(x * 2^(14 - E)), at most 32,512, in
// two bytes 256 * high + low: exact for every bf16 value down to 2^(E - 7), off by at most
// 2^(E - 15), about 2^-15 of the largest value. fp8 takes x * 2^(14 - E) in float16,
// exact down to 2^(E - 31). A block with a value that is not finite has the scale NaN, and so has
// all that is made of it.
//
// Pieces: [64 inputs][row][128 bytes]; of the integer formats 64 high bytes, then 64 low ones; of
// the others 64 values. Inside, they stand as the weights of the same 64 inputs do in a stored row.
namespace captiond::kernels {

inline constexpr int kSplitInputs = 64;    // of one piece
inline constexpr int kSplitPiece = 128;    // bytes a row
inline constexpr int kSplitThreads = 512;  // of a block

// Eight inputs, and 2^(14 - E).
struct EightInputs {
  uint4 raw;
  float factor;

  __device__ __forceinline__ float value(int i) const {  // of input i (0 … 7)
    const std::uint32_t two = word_of(raw, i / 2);
    return __uint_as_float(i % 2 == 0 ? two << 16 : two & 0xffff0000U);
  }
  // Input i, scaled, as an integer in the lower 16 bits: the sum with 1.5 * 2^23 is rounded to even
  // and ends in it.
  __device__ __forceinline__ std::uint32_t whole(int i) const {
    constexpr float kShift = 12582912.0F;
    return __float_as_uint(__fmaf_rn(value(i), factor, kShift));
  }
};

// Bytes `kByte` of four words, the first the lowest.
template <int kByte>
__device__ __forceinline__ std::uint32_t bytes_of(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                                  std::uint32_t d) {
  constexpr unsigned kTwo = kByte | (4U + kByte) << 4;
  return __byte_perm(__byte_perm(a, b, kTwo), __byte_perm(c, d, kTwo), 0x5410);
}

// The high and low bytes of eight inputs in the order of `Order::at(position)`, to high[0 … 7] and
// high[64 … 71].
template <class Order>
__device__ __forceinline__ void store_bytes(char* high, const EightInputs& x) {
  std::uint32_t v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = x.whole(Order::at(i));
  uint2 low;
  low.x = bytes_of<0>(v[0], v[1], v[2], v[3]);
  low.y = bytes_of<0>(v[4], v[5], v[6], v[7]);
#pragma unroll
  for (std::uint32_t& value : v) value += 128;  // the low byte is signed
  *reinterpret_cast<uint2*>(high) = {bytes_of<1>(v[0], v[1], v[2], v[3]),
                                     bytes_of<1>(v[4], v[5], v[6], v[7])};
  *reinterpret_cast<uint2*>(high + kSplitInputs) = low;
}

// Of each format: the inputs that share a scale, a factor of that scale, and where the eight inputs
// from `k` (a multiple of 8) on go in the piece of their row.
struct Int8Input {
  static constexpr bool kScaled = true;
  static constexpr int kShared = 128;
  static constexpr float kFactor = 1.0F;
  static __device__ constexpr int at(int i) { return i % 4 == 1 ? i + 1 : i % 4 == 2 ? i - 1 : i; }
  static __device__ __forceinline__ void store(char* piece, int k, const EightInputs& x) {
    store_bytes<Int8Input>(piece + k % kSplitInputs, x);
  }
};

// The products are with sixteen times the weights.
struct Int4Input {
  static constexpr bool kScaled = true;
  static constexpr int kShared = 256;
  static constexpr float kFactor = 0.0625F;
  static __device__ constexpr int at(int i) { return i / 4 * 2 + i % 2 * 4 + i % 4 / 2; }
  static __device__ __forceinline__ void store(char* piece, int k, const EightInputs& x) {
    store_bytes<Int4Input>(piece + k % 32 / 8 * 16 + k % kSplitInputs / 32 * 8, x);
  }
};

struct Bf16Input {
  static constexpr bool kScaled = false;
  static constexpr int kShared = 64;
  static __device__ __forceinline__ void store(char* piece, int k, const EightInputs& x) {
    *reinterpret_cast<uint4*>(piece + k % kSplitInputs * 2) = x.raw;
  }
};

struct Fp8Input {
  static constexpr bool kScaled = true;
  static constexpr int kShared = 128;
  static constexpr float kFactor = 1.0F;
  // Inputs `low` and `high`, scaled, as float16.
  static __device__ __forceinline__ std::uint32_t two(const EightInputs& x, int low, int high) {
    const __half2 pair = __floats2half2_rn(x.value(low) * x.factor, x.value(high) * x.factor);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
  static __device__ __forceinline__ void store(char* piece, int k, const EightInputs& x) {
    *reinterpret_cast<uint4*>(piece + k % kSplitInputs * 2) = {two(x, 2, 0), two(x, 3, 1),
                                                               two(x, 6, 4), two(x, 7, 5)};
  }
};

// Finds the exponent E that `kSharers` neighbouring threads share: sets `factor` and returns
// 2^(E - 14), or NaN when a value is not finite. All threads of the warp take part.
template <int kSharers>
__device__ __forceinline__ float find_scale(EightInputs& x) {
  std::uint32_t most = 0;  // of both halves
#pragma unroll
  for (int word = 0; word < 4; ++word) most = __vmaxu2(most, word_of(x.raw, word) & 0x7fff7fffU);
#pragma unroll
  for (int apart = kSharers / 2; apart > 0; apart /= 2)
    most = __vmaxu2(most, __shfl_xor_sync(~0U, most, apart));
  most = max(most & 0xffffU, most >> 16);
  if (most >= 0x7f80U) {
    x.factor = 0.0F;
    return __uint_as_float(0x7fffffffU);
  }
  const std::uint32_t exponent = max((most + 1) >> 7, 15U);
  x.factor = __uint_as_float((268U - exponent) << 23);
  return __uint_as_float((exponent - 14U) << 23);
}

template <class Input>
__host__ __device__ constexpr int shared_scales(int in) {
  return (in + Input::kShared - 1) / Input::kShared;
}
template <class Input>
__host__ __device__ constexpr std::size_t split_bytes(int in, int rows) {
  return static_cast<std::size_t>(shared_scales<Input>(in)) * rows *
         (Input::kShared / kSplitInputs * kSplitPiece + (Input::kScaled ? sizeof(float) : 0));
}

// Where the split rows of an x stand: pieces, then the scales, [block of inputs][row].
template <class Input>
class SplitRows {
 public:
  __device__ SplitRows(char* pieces, int in, int rows)
      : pieces_(pieces),
        scales_(reinterpret_cast<float*>(pieces +
                                         static_cast<std::size_t>(shared_scales<Input>(in)) * rows *
                                             Input::kShared / kSplitInputs * kSplitPiece)),
        eights_(shared_scales<Input>(in) * kSharers),
        rows_(rows) {}

  __device__ int eights() const { return eights_; }

  // Splits the inputs from 8 * `eight` on of a row; those beyond the last are zero. All threads of
  // a warp call it, with neighbours.
  __device__ __forceinline__ void put(int row, int eight, EightInputs part) const {
    // The same for a whole warp: sharers are half a warp or all of it.
    if (eight - static_cast<int>(threadIdx.x % 32) >= eights_) return;
    const float scale = scale_of(part);
    store(row, eight, part, scale);
  }
  // The same in two steps: what neighbours find together, and what a thread stores.
  static __device__ __forceinline__ float scale_of(EightInputs& part) {
    if constexpr (Input::kScaled) return find_scale<kSharers>(part) * Input::kFactor;
    return 0.0F;
  }
  __device__ __forceinline__ void store(int row, int eight, const EightInputs& part,
                                        float scale) const {
    if (eight >= eights_) return;
    const int k = eight * 8;
    Input::store(pieces_ + (static_cast<std::size_t>(k / kSplitInputs) * rows_ + row) * kSplitPiece,
                 k, part);
    if (Input::kScaled && eight % kSharers == 0) scales_[eight / kSharers * rows_ + row] = scale;
  }

 private:
  static constexpr int kSharers = Input::kShared / 8;
  char* const pieces_;
  float* const scales_;
  const int eights_, rows_;
};

// Splits the eights from `first` on of a row of x, kAtOnce of a thread: all are asked for, then
// between() is called, and the chains of all scales run beside each other. Past the cache of the
// multiprocessor, since a block reads x once.
template <int kAtOnce, class Input, class Between>
__device__ __forceinline__ void split_batch(const SplitRows<Input>& split, const __nv_bfloat16* x,
                                            int in, int row, int first, const Between& between) {
  EightInputs part[kAtOnce];
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) {
    const int k = (first + i * kSplitThreads) * 8;
    part[i].raw = k < in ? __ldcg(reinterpret_cast<const uint4*>(x + k)) : uint4{0, 0, 0, 0};
  }
  between();
  float scales[kAtOnce];
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) scales[i] = split.scale_of(part[i]);
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) split.store(row, first + i * kSplitThreads, part[i], scales[i]);
}

// Splits all rows of x; called by all threads of the block, which synchronises after it.
template <class Input, class Between>
__device__ __forceinline__ void split_rows(const StreamInput& input, char* pieces,
                                           const Between& between) {
  constexpr int kAtOnce = 4;
  const SplitRows<Input> split(pieces, input.in, input.rows);
  const int thread = threadIdx.x;
#pragma unroll 1
  for (int row = 0; row < input.rows; ++row) {
    const __nv_bfloat16* const x = input.x + static_cast<std::size_t>(row) * input.in;
    const auto behind_first = [&] {
      if (row == 0) between();
    };
    if (split.eights() <= kSplitThreads) {
      split_batch<1>(split, x, input.in, row, thread, behind_first);
      continue;
    }
    for (int first = thread; first - thread < split.eights(); first += kSplitThreads * kAtOnce)
      split_batch<kAtOnce>(split, x, input.in, row, first, [&] {
        if (first == thread) behind_first();
      });
  }
}

}  // namespace captiond::kernels
