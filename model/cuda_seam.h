#pragma once

#include <cstddef>

#include "model/cuda_memory.h"
#include "model/kernels/matrix.h"

struct __nv_bfloat16;

namespace captiond {

namespace kernels {
struct NormBehind;
struct PackedRows;
struct RotateAndStore;
struct ResidualNorm;
struct RmsNorm;
}  // namespace kernels

class CudaArrivals;
class CudaProducts;

// Between a norm and the product behind it: the norm leaves its rows in bf16, or packed where that
// product takes them so, and the product finds them. Enqueues on the products' stream; throws
// CudaError. Engine thread only.
class CudaSeam {
 public:
  // `rows` [rows_max, width] bf16 on the device, 16-byte aligned, is the caller's and where rows
  // stand that are not packed. `products` and `arrivals` stay alive.
  CudaSeam(const CudaProducts& products, const CudaArrivals& arrivals, __nv_bfloat16* rows,
           std::size_t rows_max, std::size_t width);

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

  // A product into `rows` and the norms behind it, in one launch where that runs: norm.sublayer
  // and `y` are set here. `x` as the product takes it, in bf16 or packed.
  void linear_and_norm(const kernels::Matrix& w, const __nv_bfloat16* x,
                       const kernels::ResidualNorm& norm, const kernels::Matrix& next, bool gate_up,
                       std::size_t rows) const;
  void linear_and_norm(const kernels::Matrix& w, const kernels::PackedRows& x,
                       const kernels::ResidualNorm& norm, const kernels::Matrix& next, bool gate_up,
                       std::size_t rows) const;
  // The same of a feed-forward block; `h` [rows_max, inner] and `packed` [kManyRowsMax, inner] are
  // scratch.
  void feed_forward_and_norm(const kernels::Matrix& up, const kernels::Matrix& down,
                             __nv_bfloat16* h, const kernels::PackedRows& packed,
                             const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                             std::size_t rows) const;

  // The projections of the rows of the norm before, into rotate.projected, with norm, rope and the
  // way into the pages in the same launch; false, and nothing done, where that does not run.
  bool linear_and_rotate(const kernels::Matrix& w, const kernels::RotateAndStore& rotate,
                         std::size_t rows) const;

  std::size_t bytes() const { return values_.bytes() + scales_.bytes(); }

 private:
  kernels::PackedRows packed() const;
  template <class Rows>
  void linear_and_norm_of(const kernels::Matrix& w, const Rows& x,
                          const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                          bool gate_up, std::size_t rows) const;
  bool norms_behind(const kernels::Matrix& w, std::size_t rows) const;
  kernels::NormBehind behind(const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                             bool gate_up, std::size_t rows) const;

  const CudaProducts& products_;
  const CudaArrivals& arrivals_;
  __nv_bfloat16* const rows_;
  DeviceMemory values_;
  DeviceMemory scales_;
};

}  // namespace captiond
