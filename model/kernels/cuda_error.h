#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <cuda_runtime_api.h>

namespace captiond::kernels {

// What a CUDA call or a kernel launch failed with. After a sticky error (an illegal address, a
// failed launch) every later call fails too: the process has to end.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t status, const std::string& sentence)
      : std::runtime_error(sentence), status_(status) {}
  cudaError_t status() const { return status_; }

 private:
  cudaError_t status_;
};

// Throws CudaError unless `status` is cudaSuccess. `what` says what was tried, as the subject of
// the sentence: "The launch of linear (1 row, 3840 to 8192)".
void check_cuda(cudaError_t status, std::string_view what);

}  // namespace captiond::kernels
