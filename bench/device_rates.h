#pragma once

#include <cstddef>

namespace captiond {

// What the GPU does at best, measured just before what is compared with it.
struct DeviceRates {
  double read_bytes_per_s = 0;         // of 4 GiB, the limit of a decode step
  double copy_bytes_per_s = 0;         // device to device, bytes read plus bytes written
  double multiply_adds_per_s = 0;      // bfloat16 product of 8192 x 8192 x 8192, half its FLOP/s
  double fp8_multiply_adds_per_s = 0;  // the same with both sides in e4m3
};

// Best of several passes each. Throws std::runtime_error when there is no GPU, or no CUDA in this
// build.
DeviceRates device_rates();

// Of the CPU: reading memory, and float32 products at libtorch's own rate; what is not measured
// stays 0. `threads` 0: as many as there are cores.
DeviceRates host_rates(int threads);

// Bytes of the GPU that nobody has taken; 0 in a build without CUDA.
std::size_t device_free_bytes();

}  // namespace captiond
