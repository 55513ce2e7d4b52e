#include "model/cuda_products.h"

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"
#include "model/kernels/matrix_products.h"

namespace captiond {

CudaProducts::CudaProducts(const std::vector<kernels::ProductShape>& shapes, std::size_t rows_max)
    : products_(std::make_unique<kernels::MatrixProducts>()),
      workspace_(DeviceMemory::zeroed(products_->plan(shapes, static_cast<int>(rows_max)),
                                      "the matrix products")) {
  kernels::check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                      "Making a stream");
}

CudaProducts::~CudaProducts() {
  cudaStreamSynchronize(stream_);  // a failure was thrown where it happened
  cudaStreamDestroy(stream_);
}

void CudaProducts::synchronize() const {
  kernels::check_cuda(cudaStreamSynchronize(stream_), "A step");
}

bool CudaProducts::takes_packed(const kernels::Matrix& w, bool gate_up, std::size_t rows) {
  return kernels::MatrixProducts::takes_packed(w, gate_up, static_cast<int>(rows));
}

void CudaProducts::linear(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y,
                          std::size_t rows) const {
  products_->linear(w, x, y, static_cast<int>(rows), {workspace_.data(), workspace_.bytes()},
                    stream_);
}

void CudaProducts::linear(const kernels::Matrix& w, const kernels::PackedRows& x, __nv_bfloat16* y,
                          std::size_t rows) const {
  products_->linear(w, x, y, static_cast<int>(rows), {workspace_.data(), workspace_.bytes()},
                    stream_);
}

void CudaProducts::gate_up(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* h,
                           std::size_t rows) const {
  products_->gate_up(w, x, h, static_cast<int>(rows), {workspace_.data(), workspace_.bytes()},
                     stream_);
}

std::size_t CudaProducts::square_slots(const kernels::Matrix& w) const {
  return static_cast<std::size_t>(products_->square_slots(w));
}

void CudaProducts::linear(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y,
                          float* squares, std::size_t rows, bool behind_attention) const {
  products_->linear(w, x, y, squares, static_cast<int>(rows), behind_attention, stream_);
}

void CudaProducts::linear(const kernels::Matrix& w, const kernels::NormedRows& x, __nv_bfloat16* y,
                          std::size_t rows) const {
  products_->linear(w, x, y, static_cast<int>(rows), stream_);
}

void CudaProducts::gate_up(const kernels::Matrix& w, const kernels::NormedRows& x, __nv_bfloat16* h,
                           std::size_t rows) const {
  products_->gate_up(w, x, h, static_cast<int>(rows), stream_);
}

void CudaProducts::feed_forward(const kernels::Matrix& up, const kernels::Matrix& down,
                                const __nv_bfloat16* x, __nv_bfloat16* h, __nv_bfloat16* y,
                                std::size_t rows) const {
  products_->feed_forward({up, down}, x, h, y, static_cast<int>(rows),
                          {workspace_.data(), workspace_.bytes()}, stream_);
}

void CudaProducts::feed_forward(const kernels::Matrix& up, const kernels::Matrix& down,
                                const kernels::PackedRows& x, __nv_bfloat16* h, __nv_bfloat16* y,
                                std::size_t rows) const {
  products_->feed_forward({up, down}, x, h, y, static_cast<int>(rows),
                          {workspace_.data(), workspace_.bytes()}, stream_);
}

bool CudaProducts::norms_behind(const kernels::Matrix& w, std::size_t rows) const {
  return products_->norms_behind(w, static_cast<int>(rows));
}

void CudaProducts::linear(const kernels::Matrix& w, const __nv_bfloat16* x,
                          const kernels::NormBehind& behind, std::size_t rows) const {
  products_->linear(w, x, behind, static_cast<int>(rows), {workspace_.data(), workspace_.bytes()},
                    stream_);
}

void CudaProducts::linear(const kernels::Matrix& w, const kernels::PackedRows& x,
                          const kernels::NormBehind& behind, std::size_t rows) const {
  products_->linear(w, x, behind, static_cast<int>(rows), stream_);
}

bool CudaProducts::rotates_behind(const kernels::Matrix& w, std::size_t rows) const {
  return products_->rotates_behind(w, static_cast<int>(rows));
}

void CudaProducts::linear(const kernels::Matrix& w, const __nv_bfloat16* x,
                          const kernels::RotationBehind& behind, std::size_t rows) const {
  products_->linear(w, x, behind, static_cast<int>(rows), {workspace_.data(), workspace_.bytes()},
                    stream_);
}

void CudaProducts::linear(const kernels::Matrix& w, const kernels::PackedRows& x,
                          const kernels::RotationBehind& behind, std::size_t rows) const {
  products_->linear(w, x, behind, static_cast<int>(rows), stream_);
}

bool CudaProducts::packs_behind(const kernels::Matrix& up, std::size_t rows) const {
  return products_->packs_behind(up, static_cast<int>(rows));
}

void CudaProducts::gate_up(const kernels::Matrix& w, const kernels::PackedRows& x,
                           const kernels::PackedRows& h, unsigned* arrivals,
                           std::size_t rows) const {
  products_->gate_up(w, x, h, arrivals, static_cast<int>(rows), stream_);
}

void CudaProducts::gate_up(const kernels::Matrix& w, const kernels::PackedRows& x, __nv_bfloat16* h,
                           std::size_t rows) const {
  products_->gate_up(w, x, h, static_cast<int>(rows), stream_);
}

void CudaProducts::head_logits(const kernels::Head& head, const __nv_bfloat16* x, float* logits,
                               std::size_t rows) const {
  products_->head_logits(head, x, logits, static_cast<int>(rows),
                         {workspace_.data(), workspace_.bytes()}, stream_);
}

void CudaProducts::head_greedy(const kernels::Head& head, const __nv_bfloat16* x,
                               kernels::GreedyChoice* choices, std::size_t rows) const {
  products_->head_greedy(head, x, choices, static_cast<int>(rows),
                         {workspace_.data(), workspace_.bytes()}, stream_);
}

}  // namespace captiond
