#pragma once

namespace captiond {

// Multiply-adds per second of libtorch's own float32 matrix product at 1024 x 1024 x 1024 with
// `threads` threads: the rate that a prefill could reach at best on this machine.
double matrix_multiply_adds_per_s(int threads);

}  // namespace captiond
