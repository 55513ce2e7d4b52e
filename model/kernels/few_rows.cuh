#pragma once

#include "model/kernels/few_rows.h"
#include "model/kernels/split_stream.cuh"
#include "model/kernels/weight_stream.cuh"

namespace captiond::kernels {

// Up to kSplitRowsMax rows go to the kernel that multiplies weights as they are stored, if x fits
// there; more to the one that unpacks them.
template <class Weights, class Products, class Tail>
[[nodiscard]] cudaError_t launch_format(const StreamInput& input, const Tail& tail, int blocks,
                                        cudaStream_t stream) noexcept {
  if (input.rows <= kSplitRowsMax && splits<Products>(input.in))
    return launch_split<Products>(input, tail, blocks, stream);
  return launch_stream<Weights>(input, tail, blocks, stream);
}

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
      return launch_format<Bf16Weights, Bf16Products>(input, tail, few.blocks, stream);
    case MatrixFormat::kFp8:
      return launch_format<Fp8Weights, Fp8Products>(input, tail, few.blocks, stream);
    case MatrixFormat::kInt8:
      return launch_format<Int8Weights, Int8Products>(input, tail, few.blocks, stream);
    case MatrixFormat::kInt4:
      return launch_format<Int4Weights, Int4Products>(input, tail, few.blocks, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace captiond::kernels
