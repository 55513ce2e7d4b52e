#pragma once

#include <cstdint>

#include <cuda_fp8.h>

// Packing a row of activations to e4m3: the search for the largest, its scale, the division by it.
// All that pack rows use these, so that they agree byte for byte.

namespace captiond::kernels {

// Sizes as the bits of their floats: so their order is that of numbers, above which stand infinity
// and NaN.
__device__ __forceinline__ std::uint32_t size_of(float value) {
  return __float_as_uint(value) & 0x7fffffffU;
}

// The scale of a row whose largest is of size `most`: NaN where it is not finite, 1 where all are
// zero.
__device__ __forceinline__ float scale_of_row(std::uint32_t most) {
  constexpr float kLargest = 448.0F;
  constexpr std::uint32_t kInfinity = 0x7f800000U;
  const float scale = __uint_as_float(most < kInfinity ? most : 0x7fffffffU) / kLargest;
  return scale == 0.0F ? 1.0F : scale;
}

// The size that is largest in the block, in every thread. `scratch` is shared memory of 32 numbers
// that nothing else of the kernel uses; all threads of whole warps take part.
__device__ __forceinline__ std::uint32_t block_most(std::uint32_t most, std::uint32_t* scratch) {
  most = __reduce_max_sync(~0U, most);
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) scratch[threadIdx.x / 32] = most;
  __syncthreads();
  return __reduce_max_sync(~0U, lane < blockDim.x / 32 ? scratch[lane] : 0U);
}

// Division by a row's scale, rounded as `/` rounds it. Where nothing can leave float32's range a
// product with the reciprocal and one correction give the same digits (Markstein).
class Divisor {
 public:
  __device__ explicit Divisor(float scale)
      : scale_(scale), reciprocal_(1.0F / scale), plain_(scale > 0x1p-80F && scale < 0x1p80F) {}

  // Eight values to e4m3, each four in the order of Fp8Weights: 2, 0, 3, 1.
  __device__ __forceinline__ uint2 packed(const float (&eight)[8]) const {
    return plain_ ? packed_by<true>(eight) : packed_by<false>(eight);
  }
  __device__ __forceinline__ std::uint32_t packed(const float (&four)[4]) const {
    return plain_ ? four_bytes<true>(four) : four_bytes<false>(four);
  }

 private:
  template <bool kPlain>
  __device__ float quotient(float value) const {
    if constexpr (!kPlain) return value / scale_;
    const float first = value * reciprocal_;
    const float excess = fmaf(first, scale_, -value);  // of this sign, so that -0 stays -0
    return fmaf(-excess, reciprocal_, first);
  }
  // `low` in the lower byte.
  template <bool kPlain>
  __device__ std::uint32_t two_bytes(float low, float high) const {
    return __nv_cvt_float2_to_fp8x2({quotient<kPlain>(low), quotient<kPlain>(high)}, __NV_SATFINITE,
                                    __NV_E4M3);
  }
  template <bool kPlain>
  __device__ uint2 packed_by(const float (&x)[8]) const {
    return {two_bytes<kPlain>(x[2], x[0]) | two_bytes<kPlain>(x[3], x[1]) << 16,
            two_bytes<kPlain>(x[6], x[4]) | two_bytes<kPlain>(x[7], x[5]) << 16};
  }
  template <bool kPlain>
  __device__ std::uint32_t four_bytes(const float (&x)[4]) const {
    return two_bytes<kPlain>(x[2], x[0]) | two_bytes<kPlain>(x[3], x[1]) << 16;
  }

  float scale_;
  float reciprocal_;
  bool plain_;
};

}  // namespace captiond::kernels
