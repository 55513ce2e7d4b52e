#pragma once

// How the blocks of one launch wait for each other, so that what they left can be put together by
// all of them instead of by a kernel behind. Who may do so at all: grid_arrivals.h.

namespace captiond::kernels {

// Two words, zero before their first use and fit for the next launch after each: `arrived` counts
// up to the number of blocks and starts again, `turn` counts the meetings.
struct Meeting {
  unsigned* arrived = nullptr;
  unsigned* turn = nullptr;
};

// By one thread of each of `blocks` blocks, behind a barrier that its block's writes stand in front
// of, and in front of one that its reads stand behind. All of them must run at the same time or
// begin in an order in which those that are waited for come first.
__device__ __forceinline__ void meet_blocks(const Meeting& meeting, unsigned blocks) {
  const unsigned before = *static_cast<volatile unsigned*>(meeting.turn);
  __threadfence();
  if (atomicInc(meeting.arrived, blocks - 1) == blocks - 1) {
    __threadfence();
    atomicAdd(meeting.turn, 1U);
  } else {
    unsigned now;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                   : "=r"(now)
                   : "l"(meeting.turn)
                   : "memory");
    } while (now == before);
  }
  __threadfence();
}

}  // namespace captiond::kernels
