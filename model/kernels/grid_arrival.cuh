#pragma once

// Blocks of one launch, all of which run at the same time, wait for what the others wrote. A word
// counts: the block that leads adds what makes the ones of all others carry into its top bit, so
// that each round ends with that bit turned and zeros below, whatever the rounds before had as
// members. Zeroed once; one launch at a time.

#include "model/kernels/grid_arrivals.h"

namespace captiond::kernels {

inline constexpr unsigned kRoundBit = 0x80000000U;

// The round that the counter is in; by one thread, before its block arrives.
__device__ __forceinline__ unsigned round_of(const unsigned* counter) {
  unsigned now;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
  return now & kRoundBit;
}

// One thread of each block, behind a barrier of its threads; `members` blocks, one of which leads.
__device__ __forceinline__ void arrive_in_grid(unsigned* counter, bool leads, unsigned members) {
  const unsigned step = leads ? kRoundBit - (members - 1U) : 1U;
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(counter), "r"(step) : "memory");
}

// One thread; a barrier of its block's threads hands on what it sees.
__device__ __forceinline__ void wait_for_grid(const unsigned* counter, unsigned round) {
  unsigned now;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
  } while ((now & kRoundBit) == round);
}

// By one thread of each member, in front of a barrier of its threads as well: both in one.
__device__ __forceinline__ void meet_in_grid(unsigned* counter, bool leads, unsigned members) {
  const unsigned round = round_of(counter);
  arrive_in_grid(counter, leads, members);
  wait_for_grid(counter, round);
}

// The word of kSplitArrivalBytes where the blocks of a split meet.
__device__ __forceinline__ unsigned* word_of_split(unsigned* arrivals, int split) {
  constexpr int kWords = 128 / sizeof(unsigned);  // of a line
  return arrivals + split * kWords;
}

}  // namespace captiond::kernels
