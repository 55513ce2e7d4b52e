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

// The matrix and the rows of a launch.
inline StreamInput stream_input(const Matrix& w, const FewRows& few) {
  return {.values = static_cast<const char*>(w.values),
          .scales = w.scales,
          .x = few.x,
          .out = w.out,
          .in = w.in,
          .rows = few.rows,
          .long_wait = few.long_wait};
}

// Calls body.operator()<Weights, Products>() with those of the format.
template <class Body>
[[nodiscard]] cudaError_t of_format(MatrixFormat format, const Body& body) noexcept {
  switch (format) {
    case MatrixFormat::kBf16:
      return body.template operator()<Bf16Weights, Bf16Products>();
    case MatrixFormat::kFp8:
      return body.template operator()<Fp8Weights, Fp8Products>();
    case MatrixFormat::kInt8:
      return body.template operator()<Int8Weights, Int8Products>();
    case MatrixFormat::kInt4:
      return body.template operator()<Int4Weights, Int4Products>();
  }
  return cudaErrorInvalidValue;
}

// Checks what the launchers of few_rows.h share, then launches the kernel of the matrix's format.
template <class Tail>
[[nodiscard]] cudaError_t launch_few(const Matrix& w, const FewRows& few, const Tail& tail,
                                     cudaStream_t stream) noexcept {
  const bool aligned = reinterpret_cast<std::uintptr_t>(few.x) % 16 == 0;
  if (!streams(w) || few.x == nullptr || !aligned || few.rows < 1 ||
      few.rows > MatrixProducts::kFewRowsMax || few.blocks < 1 || (Tail::kPaired && w.out % 2 != 0))
    return cudaErrorInvalidValue;
  const StreamInput input = stream_input(w, few);
  return of_format(w.format, [&]<class Weights, class Products>() {
    return launch_format<Weights, Products>(input, tail, few.blocks, stream);
  });
}

// The same for rows in front of a norm.
template <class Tail>
[[nodiscard]] cudaError_t launch_normed(const Matrix& w, const NormedRows& x, int rows, int blocks,
                                        const Tail& tail, cudaStream_t stream) noexcept {
  const bool complete =
      x.sublayer != nullptr && x.squares != nullptr && x.slots > 0 && x.slots % 4 == 0 &&
      x.slots <= kSquareSlotsMax && x.post_weight != nullptr && x.pre_weight != nullptr &&
      x.hidden != nullptr && x.hidden_after != nullptr && x.hidden != x.hidden_after;
  if (!takes_normed(w) || !complete || rows < 1 || rows > kSplitRowsMax || blocks < 1 ||
      (Tail::kPaired && w.out % 2 != 0))
    return cudaErrorInvalidValue;
  const StreamInput input = stream_input(w, {.rows = rows, .blocks = blocks});
  return of_format(w.format, [&]<class Weights, class Products>() {
    return launch_split<Products>(input, tail, blocks, stream,
                                  NormedSource{.rows = x, .post = {}, .pre = {}});
  });
}

}  // namespace captiond::kernels
