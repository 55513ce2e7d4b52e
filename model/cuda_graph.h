#pragma once

#include <functional>

struct CUgraphExec_st;
struct CUstream_st;

namespace captiond {

// A sequence of launches that is issued as one. What the kernels read may change between launches,
// where it stands may not. Engine thread only.
class CudaGraph {
 public:
  // `body` enqueues on `stream`, which runs nothing meanwhile; nothing is computed. Throws
  // std::runtime_error.
  CudaGraph(CUstream_st* stream, const std::function<void()>& body);
  ~CudaGraph();
  CudaGraph(CudaGraph&& other) noexcept;
  CudaGraph& operator=(CudaGraph&&) = delete;

  void launch(CUstream_st* stream) const;

 private:
  CUgraphExec_st* graph_ = nullptr;
};

}  // namespace captiond
