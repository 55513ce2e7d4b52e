#include "model/cuda_clock.h"

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"

namespace captiond {

CudaClock::CudaClock() {
  kernels::check_cuda(cudaEventCreate(&begin_), "Making an event");
  kernels::check_cuda(cudaEventCreate(&end_), "Making an event");
}

CudaClock::~CudaClock() {
  cudaEventDestroy(begin_);
  if (end_ != nullptr) cudaEventDestroy(end_);
}

void CudaClock::begin(CUstream_st* stream) {
  kernels::check_cuda(cudaEventRecord(begin_, stream), "Recording an event");
}

void CudaClock::end(CUstream_st* stream) {
  kernels::check_cuda(cudaEventRecord(end_, stream), "Recording an event");
}

void CudaClock::wait() const { kernels::check_cuda(cudaEventSynchronize(end_), "A step"); }

void CudaClock::add() {
  float milliseconds = 0;
  kernels::check_cuda(cudaEventElapsedTime(&milliseconds, begin_, end_), "Measuring a step");
  seconds_ += static_cast<double>(milliseconds) / 1e3;
}

}  // namespace captiond
