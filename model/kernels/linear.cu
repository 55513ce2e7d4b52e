// y = x · Wᵀ of few rows, rounded to bf16 or softcapped in float32.

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
