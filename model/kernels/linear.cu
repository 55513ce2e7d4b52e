// y = x · Wᵀ of few rows, rounded to bf16 or softcapped in float32.

#include <algorithm>

#include "model/kernels/few_rows.cuh"
#include "model/kernels/linear_tail.cuh"

namespace captiond::kernels {
namespace {

struct ToFloat {
  float* y;
  float softcap;
  __device__ float operator()(float sum) const {
    return softcap > 0.0F ? softcap * tanhf(sum / softcap) : sum;
  }
};

}  // namespace

cudaError_t linear_few(const Matrix& w, const FewRows& x, __nv_bfloat16* y,
                       cudaStream_t stream) noexcept {
  if (y == nullptr) return cudaErrorInvalidValue;
  return launch_few(w, x, LinearTail<ToBf16>{{y}, w.out, x.rows}, stream);
}

cudaError_t linear_few(const Matrix& w, const FewRows& x, __nv_bfloat16* y, float* squares,
                       cudaStream_t stream) noexcept {
  const bool aligned = reinterpret_cast<std::uintptr_t>(x.x) % 16 == 0;
  if (y == nullptr || squares == nullptr || x.x == nullptr || !aligned || !streams(w) ||
      x.rows < 1 || x.rows > kSplitRowsMax || x.blocks < 1)
    return cudaErrorInvalidValue;
  return of_format(w.format, [&]<class Weights, class Products>() {
    if (!splits<Products>(w.in)) return cudaErrorInvalidValue;
    return launch_split<Products>(stream_input(w, x),
                                  SquaresTail{.linear = {{y}, w.out, x.rows},
                                              .squares = squares,
                                              .slots = square_slots(w, x.blocks),
                                              .groups = groups_of<Products>(w.out)},
                                  x.blocks, stream);
  });
}

cudaError_t linear_few(const Matrix& w, const NormedRows& x, int rows, int blocks, __nv_bfloat16* y,
                       cudaStream_t stream) noexcept {
  if (y == nullptr) return cudaErrorInvalidValue;
  return launch_normed(w, x, rows, blocks, LinearTail<ToBf16>{{y}, w.out, rows}, stream);
}

bool takes_normed(const Matrix& w) noexcept { return streams(w) && w.in <= kNormedWidthMax; }

bool leaves_squares(const Matrix& w) noexcept {
  if (!streams(w)) return false;
  return of_format(w.format, [&]<class Weights, class Products>() {
           return splits<Products>(w.in) ? cudaSuccess : cudaErrorInvalidValue;
         }) == cudaSuccess;
}

int square_slots(const Matrix& w, int blocks) noexcept {
  const int groups = std::max(kSplitGroups, w.out >= kSplitWideOut ? kSplitGroupsMost : 0);
  return (std::min(blocks, w.out) * groups + 3) / 4 * 4;
}

cudaError_t linear_few(const Matrix& w, const FewRows& x, float* y, float softcap,
                       cudaStream_t stream) noexcept {
  if (y == nullptr || !(softcap >= 0.0F)) return cudaErrorInvalidValue;
  return launch_few(w, x, LinearTail<ToFloat>{{y, softcap}, w.out, x.rows}, stream);
}

bool streams(const Matrix& w) noexcept {
  const int multiple = w.format == MatrixFormat::kInt4 ? 32 : 8;
  const bool scaled = w.format != MatrixFormat::kBf16;
  return w.values != nullptr && reinterpret_cast<std::uintptr_t>(w.values) % 16 == 0 && w.out > 0 &&
         w.in > 0 && w.in % multiple == 0 && scaled == (w.scales != nullptr);
}

}  // namespace captiond::kernels
