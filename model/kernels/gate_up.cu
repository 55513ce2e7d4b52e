// Gate and up of few rows with gelu(gate) * up in the tail. A pass takes 16 gate rows and the 16 up
// rows of the same index, so that both sums meet in one thread.

#include "model/kernels/few_rows.cuh"
#include "model/kernels/gate_up_tail.cuh"

namespace captiond::kernels {

cudaError_t gate_up_few(const Matrix& w, const FewRows& x, __nv_bfloat16* h,
                        cudaStream_t stream) noexcept {
  if (h == nullptr) return cudaErrorInvalidValue;
  return launch_few(w, x, GateUpTail{h, w.out / 2, x.rows}, stream);
}

cudaError_t gate_up_few(const Matrix& w, const NormedRows& x, int rows, int blocks,
                        __nv_bfloat16* h, cudaStream_t stream) noexcept {
  if (h == nullptr) return cudaErrorInvalidValue;
  return launch_normed(w, x, rows, blocks, GateUpTail{h, w.out / 2, rows}, stream);
}

}  // namespace captiond::kernels
