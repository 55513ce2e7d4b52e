#pragma once

#include <cstddef>

#include "model/cuda_memory.h"
#include "model/kernels/matrix.h"

struct __nv_bfloat16;

namespace captiond {

namespace kernels {
struct PackedRows;
struct ResidualNorm;
struct RmsNorm;
}  // namespace kernels

class CudaProducts;

// Between a norm and the product behind it: the norm leaves its rows in bf16, or packed where that
// product takes them so, and the product finds them. Enqueues on the products' stream; throws
// CudaError. Engine thread only.
class CudaSeam {
 public:
  // `rows` [rows_max, width] bf16 on the device, 16-byte aligned, is the caller's and where rows
  // stand that are not packed. `products` stays alive.
  CudaSeam(const CudaProducts& products, __nv_bfloat16* rows, std::size_t rows_max,
           std::size_t width);

  // `y` of the norm is set here. `gate_up`: the product is one of a feed-forward block.
  void norm(const kernels::RmsNorm& norm, const kernels::Matrix& next, bool gate_up,
            std::size_t rows) const;
  void norm(const kernels::ResidualNorm& norm, const kernels::Matrix& next, bool gate_up,
            std::size_t rows) const;

  // Behind the last layer: the hidden rows alone.
  void end(const kernels::ResidualNorm& norm, std::size_t rows) const;

  // The products of CudaProducts with the rows of the norm before. `y` may be `rows`.
  void linear(const kernels::Matrix& w, __nv_bfloat16* y, std::size_t rows) const;
  void feed_forward(const kernels::Matrix& up, const kernels::Matrix& down, __nv_bfloat16* h,
                    __nv_bfloat16* y, std::size_t rows) const;

  std::size_t bytes() const { return values_.bytes() + scales_.bytes(); }

 private:
  kernels::PackedRows packed() const;

  const CudaProducts& products_;
  __nv_bfloat16* const rows_;
  DeviceMemory values_;
  DeviceMemory scales_;
};

}  // namespace captiond
