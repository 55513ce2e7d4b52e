#pragma once

#include <cstddef>
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
  static constexpr int kInChunk = 8;
  static constexpr int kRowUnit = kInChunk;  // weights in 16 bytes
  static constexpr bool kRowScales = false;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 4;  // of a warp's ring

  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk) {
    return {{chunk.x, chunk.y, chunk.z, chunk.w}};
  }
  // Where in a row the eight weights `eight` of a chunk stand.
  static __device__ __forceinline__ int place(int chunk, int eight) {
    return chunk * kInChunk + eight * 8;
  }
};

__device__ __forceinline__ std::uint32_t word_of(const uint4& chunk, int index) {
  return index == 0 ? chunk.x : index == 1 ? chunk.y : index == 2 ? chunk.z : chunk.w;
}

// Bytes of four weights in the order 0, 2, 1, 3. A byte with the sign s and the seven bits b below
// it is b - 128 * s; in bf16, 0x4300 | b is 128 + b and 0x4300 | s << 7 is 128 or 256.
struct Int8Weights {
  static constexpr int kInChunk = 16;
  static constexpr int kRowUnit = kInChunk;
  static constexpr bool kRowScales = true;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 4;  // of a warp's ring

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    return subtract_pair((word & 0x007f007fU) | 0x43004300U, (word & 0x00800080U) | 0x43004300U);
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk) {
    const std::uint32_t low = word_of(chunk, 2 * kEight), high = word_of(chunk, 2 * kEight + 1);
    return {{two(low), two(low >> 8), two(high), two(high >> 8)}};
  }
  // Where in a row the eight weights `eight` of a chunk stand.
  static __device__ __forceinline__ int place(int chunk, int eight) {
    return chunk * kInChunk + eight * 8;
  }
};

// Bytes of four weights in the order 2, 0, 3, 1. The exponent bias of e4m3 is 120 below that of
// bf16, which a product makes up exactly, also for e4m3's subnormal numbers.
struct Fp8Weights {
  static constexpr int kInChunk = 16;
  static constexpr int kRowUnit = kInChunk;
  static constexpr bool kRowScales = true;
  static constexpr bool kGroupScales = false;
  static constexpr int kStages = 4;  // of a warp's ring

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    constexpr std::uint32_t kTwoTo120 = 0x7b807b80U;
    return multiply_pair((word & 0x80008000U) | ((word >> 4) & 0x07f007f0U), kTwoTo120);
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk) {
    const std::uint32_t low = word_of(chunk, 2 * kEight), high = word_of(chunk, 2 * kEight + 1);
    return {{two(low), two(low << 8), two(high), two(high << 8)}};
  }
  // Where in a row the eight weights `eight` of a chunk stand.
  static __device__ __forceinline__ int place(int chunk, int eight) {
    return chunk * kInChunk + eight * 8;
  }
};

// Eight weights as signed nibbles in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest. With the
// sign turned a nibble is n = w + 8; in bf16, 0x4180 | n << 3 is 16 + n, so 24 more than the
// weight, which the kernel takes off again. A chunk holds eight weights of each of four groups, so
// that the four threads that share a product work at one group: of 128 weights of a row, chunk t
// has 8 t … 8 t + 7 of each 32.
struct Int4Weights {
  static constexpr int kInChunk = 32;
  static constexpr int kRowUnit = 128;
  static constexpr bool kRowScales = false;
  static constexpr bool kGroupScales = true;
  static constexpr int kStages = 3;
  static constexpr std::uint32_t kTwoOffsets = 0xc1c0c1c0U;  // -24 twice

  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    return (word & 0x00780078U) ^ 0x41c041c0U;
  }
  template <int kEight>
  static __device__ __forceinline__ WeightPairs eight(const uint4& chunk) {
    const std::uint32_t word = word_of(chunk, kEight);
    return {{two(word << 3), two(word >> 1), two(word >> 5), two(word >> 9)}};
  }
  static __device__ __forceinline__ int place(int chunk, int eight) {
    return chunk / 4 * kRowUnit + eight * 32 + chunk % 4 * 8;
  }
};

// Bytes of a stored row of values, and of group scales (bf16, for whole blocks of 256 weights).
template <class Format>
__host__ __device__ constexpr std::size_t row_bytes(int in) {
  constexpr int kUnitBytes = Format::kRowUnit / Format::kInChunk * 16;
  return static_cast<std::size_t>((in + Format::kRowUnit - 1) / Format::kRowUnit) * kUnitBytes;
}
__host__ __device__ constexpr std::size_t group_scale_bytes(int in) {
  return static_cast<std::size_t>((in + 255) / 256) * 16;
}

}  // namespace captiond::kernels
