#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace captiond {

// Reads `bytes` (a multiple of 16) once, 64 KiB in flight on each multiprocessor, and writes one
// sum a block into `sums` [4096]: how fast memory can be read. Returns the launch status.
[[nodiscard]] cudaError_t read_all(const void* data, std::size_t bytes, std::uint32_t* sums,
                                   cudaStream_t stream) noexcept;

// Fills `bytes` (a multiple of 4) with bf16 values uniform in ±0.05, the same for the same seed:
// real weights toggle as many wires, zeros would run faster.
[[nodiscard]] cudaError_t fill_random(void* data, std::size_t bytes, std::uint32_t seed,
                                      cudaStream_t stream) noexcept;

}  // namespace captiond
