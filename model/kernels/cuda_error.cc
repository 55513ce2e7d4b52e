#include "model/kernels/cuda_error.h"

namespace captiond::kernels {

void check_cuda(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  throw CudaError(status, std::string(what) + " failed with " + cudaGetErrorName(status) + ": " +
                              cudaGetErrorString(status) + ".");
}

}  // namespace captiond::kernels
