// Copies between the host's pinned memory and the GPU's by a kernel, a thread a unit.

#include <cstdint>
#include <limits>

#include "model/kernels/mapped_copy.h"
#include "model/kernels/programmatic_launch.cuh"

namespace captiond::kernels {
namespace {

constexpr unsigned kThreads = 256;

// Past all caches of the GPU: the host has written since it was read last.
__device__ __forceinline__ uint2 load_from_host(const uint2* from) {
  uint2 unit;
  asm volatile("ld.relaxed.sys.global.v2.u32 {%0, %1}, [%2];"
               : "=r"(unit.x), "=r"(unit.y)
               : "l"(from)
               : "memory");
  return unit;
}

__global__ void __launch_bounds__(kThreads)
    fetch_from_host_kernel(uint2* device, const uint2* pinned, unsigned units) {
  let_next_kernel_start();
  const unsigned at = blockIdx.x * kThreads + threadIdx.x;
  uint2 unit = {};
  if (at < units) unit = load_from_host(pinned + at);
  wait_for_previous_kernels();
  if (at < units) device[at] = unit;
}

__global__ void __launch_bounds__(kThreads)
    hand_to_host_kernel(uint2* pinned, const uint2* device, unsigned units) {
  let_next_kernel_start();
  const unsigned at = blockIdx.x * kThreads + threadIdx.x;
  wait_for_previous_kernels();
  if (at < units) pinned[at] = device[at];
}

cudaError_t launch_copy(void (*kernel)(uint2*, const uint2*, unsigned), void* to, const void* from,
                        std::size_t bytes, cudaStream_t stream) noexcept {
  static_assert(sizeof(uint2) == kMappedCopyUnit);
  const auto off =
      (reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from) | bytes) %
      kMappedCopyUnit;
  const std::size_t units = bytes / kMappedCopyUnit;
  if (to == nullptr || from == nullptr || off != 0 || units == 0 ||
      units > std::numeric_limits<unsigned>::max() / 2)
    return cudaErrorInvalidValue;
  const auto blocks = static_cast<unsigned>((units + kThreads - 1) / kThreads);
  return launch(kernel, {.blocks = blocks, .threads = kThreads}, stream, static_cast<uint2*>(to),
                static_cast<const uint2*>(from), static_cast<unsigned>(units));
}

}  // namespace

cudaError_t fetch_from_host(void* device, const void* pinned, std::size_t bytes,
                            cudaStream_t stream) noexcept {
  return launch_copy(fetch_from_host_kernel, device, pinned, bytes, stream);
}

cudaError_t hand_to_host(void* pinned, const void* device, std::size_t bytes,
                         cudaStream_t stream) noexcept {
  return launch_copy(hand_to_host_kernel, pinned, device, bytes, stream);
}

}  // namespace captiond::kernels
