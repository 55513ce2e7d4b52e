#pragma once

#include <cstdint>

#include "model/kernels/copy_barrier.cuh"
#include "model/kernels/kv_layer.h"

// What attention over fp8 pages is made of: copies of whole pages by the bulk engine, pages in
// shared memory, and how they are named, without swizzle, to the products of warpgroup_tiles.cuh.
// Source: PTX ISA, sections cp.async.bulk and wgmma.

namespace captiond::kernels::fp8 {

// `bytes` and both addresses are multiples of 16; they count at the barrier, given by its address.
__device__ __forceinline__ void fetch(unsigned to, const void* from, unsigned bytes,
                                      unsigned barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// Of a page's values in shared memory, whose first position is `first`, those outside of begin …
// end - 1 become zero, by `threads` threads: they are somebody else's or nobody's, and 0 * NaN
// would be NaN.
template <int kDim>
__device__ __forceinline__ void clear_values(unsigned char* values, int first, int begin, int end,
                                             int thread, int threads) {
  unsigned mask[4] = {};
#pragma unroll
  for (int line = 0; line < kKvPagePositions; ++line) {
    const int place = fp8_place(line);
    if (first + line >= begin && first + line < end) mask[place / 4] |= 0xffU << (place % 4 * 8);
  }
  auto* pieces = reinterpret_cast<uint4*>(values);
  for (int dim = thread; dim < kDim; dim += threads) {
    uint4 piece = pieces[dim];
    piece.x &= mask[0];
    piece.y &= mask[1];
    piece.z &= mask[2];
    piece.w &= mask[3];
    pieces[dim] = piece;
  }
}

// Names an operand of core matrices (eight lines of 16 bytes, one after another): `along` bytes
// from one to the next along the sum, `across` bytes to the next eight lines.
__device__ __forceinline__ std::uint64_t operand(unsigned address, unsigned along,
                                                 unsigned across) {
  return static_cast<std::uint64_t>((address & 0x3ffffU) >> 4) |
         static_cast<std::uint64_t>(along >> 4) << 16 |
         static_cast<std::uint64_t>(across >> 4) << 32;
}

}  // namespace captiond::kernels::fp8
