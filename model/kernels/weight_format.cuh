#pragma once

#include <cstdint>

#include <cuda_bf16.h>

// How 16 bytes of a stored row become bf16 weights in registers. Every format stores whole rows,
// padded to 16 bytes; the order within 4 bytes is such that two neighbouring weights come out of
// one register with a mask. pack_matrix.cu writes what is read here.
namespace captiond::kernels {

__device__ __forceinline__ std::uint32_t multiply_pair(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
  return product;
}

__device__ __forceinline__ std::uint32_t subtract_pair(std::uint32_t a, std::uint32_t b) {
  std::uint32_t difference;
  asm("sub.rn.bf16x2 %0, %1, %2;" : "=r"(difference) : "r"(a), "r"(b));
  return difference;
}

// Eight consecutive weights, two in a register, the lower half first.
struct WeightPairs {
  std::uint32_t pair[4];
};

struct Bf16Weights {
  static constexpr int kInChunk = 8;  // weights in 16 bytes
  static constexpr bool kRowScales = false;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 3;  // of a warp's ring

  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk, std::uint32_t) {
    return {{chunk.x, chunk.y, chunk.z, chunk.w}};
  }
};

__device__ __forceinline__ std::uint32_t word_of(const uint4& chunk, int index) {
  return index == 0 ? chunk.x : index == 1 ? chunk.y : index == 2 ? chunk.z : chunk.w;
}

// Bytes of four weights in the order 0, 2, 1, 3. A byte with the sign s and the seven bits b below
// it is b - 128 * s; in bf16, 0x4300 | b is 128 + b and 0x4300 | s << 7 is 128 or 256.
struct Int8Weights {
  static constexpr int kInChunk = 16;
  static constexpr bool kRowScales = true;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 3;  // of a warp's ring

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    return subtract_pair((word & 0x007f007fU) | 0x43004300U, (word & 0x00800080U) | 0x43004300U);
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk, std::uint32_t) {
    const std::uint32_t low = word_of(chunk, 2 * kEight), high = word_of(chunk, 2 * kEight + 1);
    return {{two(low), two(low >> 8), two(high), two(high >> 8)}};
  }
};

// Bytes of four weights in the order 2, 0, 3, 1. The exponent bias of e4m3 is 120 below that of
// bf16, which a product makes up exactly, also for e4m3's subnormal numbers.
struct Fp8Weights {
  static constexpr int kInChunk = 16;
  static constexpr bool kRowScales = true;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 3;  // of a warp's ring

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    constexpr std::uint32_t kTwoTo120 = 0x7b807b80U;
    return multiply_pair((word & 0x80008000U) | ((word >> 4) & 0x07f007f0U), kTwoTo120);
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk, std::uint32_t) {
    const std::uint32_t low = word_of(chunk, 2 * kEight), high = word_of(chunk, 2 * kEight + 1);
    return {{two(low), two(low << 8), two(high), two(high << 8)}};
  }
};

// Eight weights w + 8 as nibbles in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest; a chunk is
// one group, whose scale stands twice in `scale`. 0x4300 | n is 128 + n.
struct Int4Weights {
  static constexpr int kInChunk = 32;
  static constexpr bool kRowScales = false;
  static constexpr bool kGroupScales = true;
  static constexpr int kStages = 2;

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word, std::uint32_t scale) {
    constexpr std::uint32_t k136 = 0x43084308U;
    return multiply_pair(subtract_pair((word & 0x000f000fU) | 0x43004300U, k136), scale);
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk, std::uint32_t scale) {
    const std::uint32_t word = word_of(chunk, kEight);
    return {
        {two(word, scale), two(word >> 4, scale), two(word >> 8, scale), two(word >> 12, scale)}};
  }
};

}  // namespace captiond::kernels
