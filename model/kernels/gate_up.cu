// Gate and up of few rows with gelu(gate) * up in the tail. A pass takes 16 gate rows and the 16 up
// rows of the same index, so that both sums meet in one thread.

#include "model/kernels/few_rows.cuh"
#include "model/kernels/gelu_product.cuh"

namespace captiond::kernels {
namespace {

struct GateUpTail {
  static constexpr bool kPaired = true;
  __nv_bfloat16* h;
  int inner;
  int rows;

  __device__ void take(int, int low, int, int n, const float4& sum) {
    if (low < 0) return;
    put(low, n, sum.x, sum.z);
    put(low, n + 1, sum.y, sum.w);
  }
  __device__ void finish(char*, const StreamInput&) {}

 private:
  __device__ void put(int index, int n, float gate, float up) {
    if (n < rows)
      h[static_cast<std::size_t>(n) * inner + index] =
          gelu_product(__float2bfloat16(gate), __float2bfloat16(up));
  }
};

}  // namespace

cudaError_t gate_up_few(const Matrix& w, const FewRows& x, __nv_bfloat16* h,
                        cudaStream_t stream) noexcept {
  if (h == nullptr) return cudaErrorInvalidValue;
  return launch_few(w, x, GateUpTail{h, w.out / 2, x.rows}, stream);
}

}  // namespace captiond::kernels
