#pragma once

#include <cstddef>

#include <cuda_runtime_api.h>

namespace captiond::kernels {

// Few bytes between pinned memory of the host and the GPU's, by a kernel: between two kernels of a
// stream a copy engine's turn takes 7 us for 8 bytes and 12 to 18 for the tables of a step
// (start-up and both changes of engine, traced on an H200), a kernel's 2 to 4.
//
// `pinned` is the address that cudaHostAlloc() gave, which the GPU shares (unified addressing).
// Both addresses and `bytes` are multiples of kMappedCopyUnit; bytes > 0. Enqueues and returns;
// cudaErrorInvalidValue for anything else.
inline constexpr std::size_t kMappedCopyUnit = 8;

// `pinned` is read while kernels enqueued before may still run, `device` written when they have
// ended.
[[nodiscard]] cudaError_t fetch_from_host(void* device, const void* pinned, std::size_t bytes,
                                          cudaStream_t stream) noexcept;

// The host sees the bytes once it has waited for an event recorded behind this.
[[nodiscard]] cudaError_t hand_to_host(void* pinned, const void* device, std::size_t bytes,
                                       cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
