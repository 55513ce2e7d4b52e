#pragma once

#include <cstdint>

#include <cuda.h>

// A ring of stages in shared memory that the copy engine fills with boxes of matrices
// (tensor_map.h) and warps empty. Source: PTX ISA, section cp.async.bulk.tensor.

namespace captiond::kernels {

// Fetches the box at byte `column` and line `row`; its bytes count at the barrier.
__device__ __forceinline__ void fetch_box(unsigned target, const CUtensorMap& map, int column,
                                          int row, unsigned barrier, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%2, %3}], [%4], %5;" ::"r"(target),
      "l"(&map), "r"(column), "r"(row), "r"(barrier), "l"(policy)
      : "memory");
}

// The same of a matrix of pairs of rows: `eight` counts eights of its first half.
__device__ __forceinline__ void fetch_pairs(unsigned target, const CUtensorMap& map, int column,
                                            int eight, unsigned barrier, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%2, %3, %3, %4}], [%5], %6;" ::"r"(target),
      "l"(&map), "r"(column), "r"(0), "r"(eight), "r"(barrier), "l"(policy)
      : "memory");
}
// Has `bytes` of global memory, both multiples of 16, on their way to the L2 cache.
__device__ __forceinline__ void ask_for(const char* from, unsigned bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}
// Has the description of a matrix at hand for the first copy.
__device__ __forceinline__ void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// Lines read once leave the L2 cache first, lines that others will read leave it last.
__device__ __forceinline__ std::uint64_t read_once() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ std::uint64_t read_often() {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

}  // namespace captiond::kernels
