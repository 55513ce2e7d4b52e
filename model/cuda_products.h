#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "model/cuda_memory.h"
#include "model/kernels/matrix.h"

struct CUstream_st;
struct __nv_bfloat16;

namespace captiond {

namespace kernels {
struct GreedyChoice;
struct Head;
class MatrixProducts;
struct NormBehind;
struct NormedRows;
struct PackedRows;
struct ProductShape;
struct RotationBehind;
}  // namespace kernels

// The stream that a forward pass runs on, and the matrix products with their scratch on it: see
// model/kernels/matrix_products.h for shapes and rounding. Engine thread only.
class CudaProducts {
 public:
  // For products of `shapes` with up to `rows_max` rows. Throws std::runtime_error.
  CudaProducts(const std::vector<kernels::ProductShape>& shapes, std::size_t rows_max);
  ~CudaProducts();
  CudaProducts(const CudaProducts&) = delete;
  CudaProducts& operator=(const CudaProducts&) = delete;

  CUstream_st* stream() const { return stream_; }
  void synchronize() const;
  std::size_t bytes() const { return workspace_.bytes(); }

  // Whether a product takes its rows packed: see kernels::MatrixProducts.
  static bool takes_packed(const kernels::Matrix& w, bool gate_up, std::size_t rows);

  void linear(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y,
              std::size_t rows) const;
  void linear(const kernels::Matrix& w, const kernels::PackedRows& x, __nv_bfloat16* y,
              std::size_t rows) const;
  void gate_up(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* h,
               std::size_t rows) const;

  // Norms made by products: see kernels::MatrixProducts::makes_norms().
  std::size_t square_slots(const kernels::Matrix& w) const;
  void linear(const kernels::Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, float* squares,
              std::size_t rows, bool behind_attention) const;
  void linear(const kernels::Matrix& w, const kernels::NormedRows& x, __nv_bfloat16* y,
              std::size_t rows) const;
  void gate_up(const kernels::Matrix& w, const kernels::NormedRows& x, __nv_bfloat16* h,
               std::size_t rows) const;

  void feed_forward(const kernels::Matrix& up, const kernels::Matrix& down, const __nv_bfloat16* x,
                    __nv_bfloat16* h, __nv_bfloat16* y, std::size_t rows) const;
  void feed_forward(const kernels::Matrix& up, const kernels::Matrix& down,
                    const kernels::PackedRows& x, __nv_bfloat16* h, __nv_bfloat16* y,
                    std::size_t rows) const;
  // Last phases: see kernels::MatrixProducts::norms_behind().
  bool norms_behind(const kernels::Matrix& w, std::size_t rows) const;
  void linear(const kernels::Matrix& w, const __nv_bfloat16* x, const kernels::NormBehind& behind,
              std::size_t rows) const;
  void linear(const kernels::Matrix& w, const kernels::PackedRows& x,
              const kernels::NormBehind& behind, std::size_t rows) const;
  bool rotates_behind(const kernels::Matrix& w, std::size_t rows) const;
  void linear(const kernels::Matrix& w, const __nv_bfloat16* x,
              const kernels::RotationBehind& behind, std::size_t rows) const;
  void linear(const kernels::Matrix& w, const kernels::PackedRows& x,
              const kernels::RotationBehind& behind, std::size_t rows) const;
  bool packs_behind(const kernels::Matrix& up, std::size_t rows) const;
  void gate_up(const kernels::Matrix& w, const kernels::PackedRows& x, const kernels::PackedRows& h,
               unsigned* arrivals, std::size_t rows) const;
  void gate_up(const kernels::Matrix& w, const kernels::PackedRows& x, __nv_bfloat16* h,
               std::size_t rows) const;

  void head_logits(const kernels::Head& head, const __nv_bfloat16* x, float* logits,
                   std::size_t rows) const;
  void head_greedy(const kernels::Head& head, const __nv_bfloat16* x,
                   kernels::GreedyChoice* choices, std::size_t rows) const;

 private:
  CUstream_st* stream_ = nullptr;
  std::unique_ptr<kernels::MatrixProducts> products_;
  DeviceMemory workspace_;
};

}  // namespace captiond
