#pragma once

namespace captiond {

// Bytes per second that `threads` threads read from main memory together: the best of five passes
// over a buffer far larger than the caches, summed in 64-byte strides. The physical limit of a
// decode step is the bytes of the weights divided by this.
double read_bandwidth_bytes_per_s(int threads);

}  // namespace captiond
