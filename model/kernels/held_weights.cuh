#pragma once

#include "model/kernels/takers.cuh"
#include "model/kernels/tensor_core.cuh"
#include "model/kernels/weight_format.cuh"

// Stored int8 and int4 weights on their way through registers into products of a warpgroup: what a
// lane reads of 16 lines of a K-block of 128 inputs, and how it becomes the first operand of
// warpgroup_held.cuh, without an exchange between lanes. A block is taken in two halves of four
// steps of 16 inputs.
//
// A line of a block is `kLineBytes` in shared memory whose 16-byte pieces are permuted as the copy
// engine does it, so that the eight lines of one read stand in different banks.
namespace captiond::kernels {

inline constexpr int kHeldSteps = 4;  // of 16 inputs in half a block

// What a lane holds of half a block as it is stored: of each step and of its two lines, one word
// for the first eight inputs and one for the others.
struct StoredHalf {
  std::uint32_t word[kHeldSteps][2][2];
};

// The first operand of half a block.
struct HeldHalf {
  std::uint32_t step[kHeldSteps][4];
};

__device__ __forceinline__ std::uint32_t word_at(unsigned address) {
  std::uint32_t word;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
  return word;
}
__device__ __forceinline__ uint2 two_words_at(unsigned address) {
  uint2 words;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];"
               : "=r"(words.x), "=r"(words.y)
               : "r"(address)
               : "memory");
  return words;
}
__device__ __forceinline__ uint4 piece_at(unsigned address) {
  uint4 piece;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(piece.x), "=r"(piece.y), "=r"(piece.z), "=r"(piece.w)
               : "r"(address)
               : "memory");
  return piece;
}

// No scales within a row.
struct NoGroups {
  static constexpr unsigned kBytes = 0;
  __device__ explicit NoGroups(unsigned) {}
  __device__ __forceinline__ void next() {}
};

// The scales of the groups of a warp's 16 lines, four a block. Its lanes copy them into a ring of
// the warp's own, some blocks ahead: as many loads into registers would not fit there.
struct GroupsOfLines {
  static constexpr int kSlots = 8;                          // blocks
  static constexpr unsigned kLineScales = 8;                // bytes of a block
  static constexpr unsigned kSlotBytes = 16 * kLineScales;  // of a warp
  static constexpr unsigned kBytes = kTakerWarps * kSlots * kSlotBytes;

  unsigned ring;     // of the warp, in shared memory
  const char* line;  // what lanes 0 … 15 copy
  int block, blocks;
  uint2 now[2];  // of the lane's two lines

  __device__ explicit GroupsOfLines(unsigned rings)
      : ring(rings + threadIdx.x / 32 * kSlots * kSlotBytes) {}

  // In front of `count` blocks of a tile, whose first scales stand at `first`.
  __device__ __forceinline__ void begin(const char* first, int count) {
    line = first;
    block = 0;
    blocks = count;
    __syncwarp();  // others may still read
#pragma unroll
    for (int ahead = 0; ahead < kSlots - 1; ++ahead) ask(ahead);
  }
  // To the next block.
  __device__ __forceinline__ void next() {
    __syncwarp();
    ask(block + kSlots - 1);
    wait_for_copies<kSlots - 1>();
    __syncwarp();
    const unsigned mine = slot(block) + threadIdx.x % 32 / 4 * kLineScales;
    now[0] = two_words_at(mine);
    now[1] = two_words_at(mine + kSlotBytes / 2);
    ++block;
  }
  // Twice the scale of a group of a line.
  __device__ __forceinline__ std::uint32_t pair(int of_line, int group) const {
    const std::uint32_t two = group < 2 ? now[of_line].x : now[of_line].y;
    return __byte_perm(two, two, group % 2 == 0 ? 0x1010U : 0x3232U);
  }

 private:
  __device__ __forceinline__ unsigned slot(int of_block) const {
    return ring + static_cast<unsigned>(of_block) % kSlots * kSlotBytes;
  }
  __device__ __forceinline__ void ask(int of_block) const {
    const unsigned lane = threadIdx.x % 32, to = slot(of_block) + lane * kLineScales;
    const char* const from = line + static_cast<unsigned>(of_block) * kLineScales;
    if (lane < 16 && of_block < blocks)
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(from),
                   "n"(kLineScales)
                   : "memory");
    commit_copies();
  }
};

// (a & mask) ^ bits in one instruction, which the compiler makes two of for two constants.
__device__ __forceinline__ std::uint32_t masked(std::uint32_t a, std::uint32_t mask,
                                                std::uint32_t bits) {
  std::uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(result) : "r"(a), "r"(mask), "r"(bits));
  return result;
}

// A word holds four inputs: of eight, the pair t of a lane stands in word t / 2. A line of a block
// stands in one piece of 128 bytes or in two of 64, a half each.
template <unsigned kLine>
struct HeldInt8 {
  static constexpr unsigned kLineBytes = kLine;

  // Of a lane, from the block's address in shared memory.
  static __device__ __forceinline__ unsigned offset() {
    const unsigned line = threadIdx.x % 32 / 4;
    return (threadIdx.x / 32 * 16 + line) * kLineBytes + line / (128 / kLine) * 16 +
           threadIdx.x % 4 / 2 * 4;
  }
  static __device__ __forceinline__ StoredHalf load(unsigned from, int half) {
    StoredHalf stored;
#pragma unroll
    for (unsigned step = 0; step < kHeldSteps; ++step)
#pragma unroll
      for (unsigned i = 0; i < 4; ++i)
        stored.word[step][i / 2][i % 2] =
            word_at((from ^ (static_cast<unsigned>(place(half, 0)) + step) * 16) +
                    i / 2 * 8 * kLineBytes + i % 2 * 8);
    return stored;
  }
  static __device__ __forceinline__ HeldHalf held(const StoredHalf& stored, const NoGroups&) {
    const unsigned shift = threadIdx.x % 2 * 8;
    HeldHalf result;
#pragma unroll
    for (int step = 0; step < kHeldSteps; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        result.step[step][i] = two(stored.word[step][i % 2][i / 2] >> shift);
    return result;
  }
  // Which 16 of the stage's inputs a step of a half has.
  static __device__ constexpr int place(int half, int step) {
    return (kLine == 128 ? half * kHeldSteps : 0) + step;
  }

 private:
  // As Int8Weights::two().
  static __device__ __forceinline__ std::uint32_t two(std::uint32_t word) {
    return subtract_pair(masked(word, 0x007f007fU, 0x43004300U),
                         masked(word, 0x00800080U, 0x43004300U));
  }
};

// A word holds eight inputs, a 16-byte piece eight of each group: pieces 0 and 1 have the first 16
// inputs of each group, 2 and 3 the others.
struct HeldInt4 {
  static constexpr unsigned kLineBytes = 64;

  static __device__ __forceinline__ unsigned offset() {
    const unsigned line = threadIdx.x % 32 / 4;
    return (threadIdx.x / 32 * 16 + line) * kLineBytes + line / 2 * 16;
  }
  static __device__ __forceinline__ StoredHalf load(unsigned from, int half) {
    StoredHalf stored;
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      const uint4 piece = piece_at((from ^ (static_cast<unsigned>(half) * 2 + i % 2) * 16) +
                                   i / 2 * 8 * kLineBytes);
#pragma unroll
      for (int step = 0; step < kHeldSteps; ++step)
        stored.word[step][i / 2][i % 2] = word_of(piece, step);
    }
    return stored;
  }
  // The weights times their scale, rounded once, as unpack_matrix() has them.
  static __device__ __forceinline__ HeldHalf held(const StoredHalf& stored,
                                                  const GroupsOfLines& groups) {
    constexpr std::uint32_t kTwo24 = 0x41c041c0U;
    const unsigned turn = threadIdx.x % 4 * 4 + 29;  // pair t is nibbles t and t + 4, 3 bits higher
    HeldHalf result;
#pragma unroll
    for (int step = 0; step < kHeldSteps; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t word = stored.word[step][i % 2][i / 2];
        const std::uint32_t raised = masked(__funnelshift_r(word, word, turn), 0x00780078U, kTwo24);
        result.step[step][i] =
            multiply_pair(subtract_pair(raised, kTwo24), groups.pair(i % 2, step));
      }
    return result;
  }
  static __device__ constexpr int place(int half, int step) { return 2 * step + half; }
};

}  // namespace captiond::kernels
