#pragma once

namespace captiond::kernels {

// The threads of a block that multiply; it may have others.
inline constexpr int kTakers = 256;
inline constexpr int kTakerWarps = kTakers / 32;

__device__ __forceinline__ void wait_for_takers() {
  asm volatile("bar.sync 1, %0;" ::"n"(kTakers) : "memory");
}

}  // namespace captiond::kernels
