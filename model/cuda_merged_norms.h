#pragma once

#include <cstddef>

#include "model/cuda_memory.h"
#include "model/kernels/matrix.h"

struct __nv_bfloat16;

namespace captiond {

namespace kernels {
struct NormedRows;
}  // namespace kernels

class CudaProducts;
class CudaWeights;

// The norms between the products of few rows, made by the products behind them, so that a layer of
// a decode step has no kernels for them: the product in front leaves its rows in `normal` and their
// squares here, and the one behind reads both. Each such seam moves the residual stream: from
// `hidden` to a second buffer (out) or from there to `hidden` (back). Enqueues on the products'
// stream; throws CudaError. Engine thread only.
class CudaMergedNorms {
 public:
  struct Weights {
    const __nv_bfloat16* post = nullptr;    // of the sublayer in front
    const __nv_bfloat16* scalar = nullptr;  // or null
    const __nv_bfloat16* pre = nullptr;     // of the sublayer behind
  };

  // `normal` and `hidden` [rows, hidden_size] bf16, device, 16-byte aligned, are the caller's.
  CudaMergedNorms(const CudaProducts& products, const CudaWeights& weights, float eps,
                  __nv_bfloat16* normal, __nv_bfloat16* hidden);

  // Whether steps of so many rows can be made so.
  bool serves(std::size_t rows) const;

  // `behind_attention`: it made x.
  void in_front(const kernels::Matrix& w, const __nv_bfloat16* x, std::size_t rows,
                bool behind_attention) const;
  void linear_back(const Weights& norm, const kernels::Matrix& w, __nv_bfloat16* y,
                   std::size_t rows) const;
  void gate_up_out(const Weights& norm, const kernels::Matrix& w, __nv_bfloat16* h,
                   std::size_t rows) const;

  std::size_t bytes() const { return squares_.bytes() + hidden_after_.bytes(); }

 private:
  kernels::NormedRows rows_of(const Weights& norm, const __nv_bfloat16* from,
                              __nv_bfloat16* to) const;

  const CudaProducts& products_;
  const float eps_;
  __nv_bfloat16* const normal_;
  __nv_bfloat16* const hidden_;
  const std::size_t rows_max_;  // 0: some matrix cannot
  const std::size_t slots_;     // of a row in squares_
  const DeviceMemory squares_;
  const DeviceMemory hidden_after_;
};

}  // namespace captiond
