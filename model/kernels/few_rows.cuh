#pragma once

#include "model/kernels/few_rows.h"
#include "model/kernels/weight_stream.cuh"

namespace captiond::kernels {

// Checks what the launchers of few_rows.h share, then launches the kernel of the matrix's format.
template <class Tail>
[[nodiscard]] cudaError_t launch_few(const Matrix& w, const FewRows& few, const Tail& tail,
                                     cudaStream_t stream) noexcept {
  const bool aligned = reinterpret_cast<std::uintptr_t>(few.x) % 16 == 0;
  if (!streams(w) || few.x == nullptr || !aligned || few.rows < 1 ||
      few.rows > MatrixProducts::kFewRowsMax || few.blocks < 1 || (Tail::kPaired && w.out % 2 != 0))
    return cudaErrorInvalidValue;
  const StreamInput input{.values = static_cast<const char*>(w.values),
                          .scales = w.scales,
                          .x = few.x,
                          .out = w.out,
                          .in = w.in,
                          .rows = few.rows};
  switch (w.format) {
    case MatrixFormat::kBf16:
      return launch_stream<Bf16Weights>(input, tail, few.blocks, stream);
    case MatrixFormat::kFp8:
      return launch_stream<Fp8Weights>(input, tail, few.blocks, stream);
    case MatrixFormat::kInt8:
      return launch_stream<Int8Weights>(input, tail, few.blocks, stream);
    case MatrixFormat::kInt4:
      return launch_stream<Int4Weights>(input, tail, few.blocks, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace captiond::kernels
