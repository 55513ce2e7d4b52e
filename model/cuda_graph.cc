#include "model/cuda_graph.h"

#include <utility>

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"

namespace captiond {

CudaGraph::CudaGraph(CUstream_st* stream, const std::function<void()>& body) {
  kernels::check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                      "Beginning a CUDA graph");
  cudaGraph_t captured = nullptr;
  try {
    body();
  } catch (...) {
    cudaStreamEndCapture(stream, &captured);  // the first failure is the one to tell
    if (captured != nullptr) cudaGraphDestroy(captured);
    throw;
  }
  kernels::check_cuda(cudaStreamEndCapture(stream, &captured), "Capturing a CUDA graph");
  const cudaError_t status = cudaGraphInstantiate(&graph_, captured, 0);
  cudaGraphDestroy(captured);
  kernels::check_cuda(status, "Making a CUDA graph");
}

CudaGraph::~CudaGraph() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

CudaGraph::CudaGraph(CudaGraph&& other) noexcept : graph_(std::exchange(other.graph_, nullptr)) {}

void CudaGraph::launch(CUstream_st* stream) const {
  kernels::check_cuda(cudaGraphLaunch(graph_, stream), "Launching a CUDA graph");
}

}  // namespace captiond
