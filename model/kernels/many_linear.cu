// y = x · Wᵀ of many rows, rounded to bf16 or softcapped in float32.

#include "model/kernels/many_linear_tail.cuh"

namespace captiond::kernels {
namespace {

struct ToFloat {
  static constexpr bool kKeepsSums = true;  // and is not split: the same sums as the greedy head
  float* y;
  float softcap;
  __device__ void put(std::size_t place, const float4& sum) const {
    *reinterpret_cast<float4*>(y + place) = {softcapped(sum.x, softcap), softcapped(sum.y, softcap),
                                             softcapped(sum.z, softcap),
                                             softcapped(sum.w, softcap)};
  }
};

}  // namespace

cudaError_t linear_many(const Matrix& w, const ManyRows& x, __nv_bfloat16* y, cudaStream_t stream) {
  if (y == nullptr) return cudaErrorInvalidValue;
  return launch_many(w, x, ManyLinearTail<ManyToBf16>{{y}, scales_of(w, x), w.out}, stream);
}

cudaError_t logits_many(const Matrix& w, const ManyRows& x, float* y, float softcap,
                        cudaStream_t stream) {
  if (y == nullptr || !(softcap >= 0.0F)) return cudaErrorInvalidValue;
  return launch_many(w, x, ManyLinearTail<ToFloat>{{y, softcap}, scales_of(w, x), w.out}, stream);
}

}  // namespace captiond::kernels
