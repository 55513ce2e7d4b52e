#include "model/cuda_seam.h"

#include "model/cuda_arrivals.h"
#include "model/cuda_products.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/norm.h"
#include "model/kernels/norm_behind.h"
#include "model/kernels/norm_packing.h"
#include "model/kernels/packed_gate_up.h"
#include "model/kernels/rotation_behind.h"
#include "model/kernels/row_packing.h"

namespace captiond {

CudaSeam::CudaSeam(const CudaProducts& products, const CudaArrivals& arrivals, __nv_bfloat16* rows,
                   std::size_t rows_max, std::size_t width)
    : products_(products),
      arrivals_(arrivals),
      rows_(rows),
      values_(rows_max * ((width + 15) / 16 * 16), "packed rows"),
      scales_(rows_max * sizeof(float), "the scales of packed rows") {}

kernels::PackedRows CudaSeam::packed() const {
  return {.values = values_.data(), .scales = scales_.as<float>()};
}

void CudaSeam::norm(const kernels::RmsNorm& norm, const kernels::Matrix& next, bool gate_up,
                    std::size_t rows) const {
  kernels::RmsNorm target = norm;
  const bool packs = CudaProducts::takes_packed(next, gate_up, rows);
  target.y = packs ? nullptr : rows_;
  const int count = static_cast<int>(rows);
  kernels::check_cuda(packs ? kernels::pack_rms_norm(target, packed(), count, products_.stream())
                            : kernels::rms_norm(target, count, products_.stream()),
                      "The launch of rms_norm");
}

void CudaSeam::norm(const kernels::ResidualNorm& norm, const kernels::Matrix& next, bool gate_up,
                    std::size_t rows) const {
  kernels::ResidualNorm target = norm;
  const bool packs = CudaProducts::takes_packed(next, gate_up, rows);
  target.y = packs ? nullptr : rows_;
  const int count = static_cast<int>(rows);
  kernels::check_cuda(packs
                          ? kernels::pack_residual_norm(target, packed(), count, products_.stream())
                          : kernels::residual_norm(target, count, products_.stream()),
                      "The launch of residual_norm");
}

void CudaSeam::end(const kernels::ResidualNorm& norm, std::size_t rows) const {
  kernels::check_cuda(kernels::residual_norm(norm, static_cast<int>(rows), products_.stream()),
                      "The launch of residual_norm");
}

void CudaSeam::linear(const kernels::Matrix& w, __nv_bfloat16* y, std::size_t rows) const {
  if (CudaProducts::takes_packed(w, false, rows)) return products_.linear(w, packed(), y, rows);
  products_.linear(w, rows_, y, rows);
}

void CudaSeam::feed_forward(const kernels::Matrix& up, const kernels::Matrix& down,
                            __nv_bfloat16* h, __nv_bfloat16* y, std::size_t rows) const {
  if (CudaProducts::takes_packed(up, true, rows))
    return products_.feed_forward(up, down, packed(), h, y, rows);
  products_.feed_forward(up, down, rows_, h, y, rows);
}

kernels::NormBehind CudaSeam::behind(const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                                     bool gate_up, std::size_t rows) const {
  kernels::NormBehind behind{.norm = norm, .packed = {}, .arrivals = arrivals_.of_splits()};
  behind.norm.sublayer = rows_;
  if (CudaProducts::takes_packed(next, gate_up, rows)) {
    behind.packed = packed();
  } else {
    behind.norm.y = rows_;
  }
  return behind;
}

bool CudaSeam::norms_behind(const kernels::Matrix& w, std::size_t rows) const {
  return arrivals_.may_wait() && products_.norms_behind(w, rows);
}

template <class Rows>
void CudaSeam::linear_and_norm_of(const kernels::Matrix& w, const Rows& x,
                                  const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                                  bool gate_up, std::size_t rows) const {
  if (norms_behind(w, rows)) return products_.linear(w, x, behind(norm, next, gate_up, rows), rows);
  products_.linear(w, x, rows_, rows);
  kernels::ResidualNorm apart = norm;
  apart.sublayer = rows_;
  this->norm(apart, next, gate_up, rows);
}

void CudaSeam::linear_and_norm(const kernels::Matrix& w, const __nv_bfloat16* x,
                               const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                               bool gate_up, std::size_t rows) const {
  linear_and_norm_of(w, x, norm, next, gate_up, rows);
}

void CudaSeam::linear_and_norm(const kernels::Matrix& w, const kernels::PackedRows& x,
                               const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                               bool gate_up, std::size_t rows) const {
  linear_and_norm_of(w, x, norm, next, gate_up, rows);
}

bool CudaSeam::linear_and_rotate(const kernels::Matrix& w, const kernels::RotateAndStore& rotate,
                                 std::size_t rows) const {
  if (!kernels::rotates_head_dim(rotate.kv.head_dim) || !arrivals_.may_wait() ||
      !products_.rotates_behind(w, rows))
    return false;
  const kernels::RotationBehind behind{.rotate = rotate, .arrivals = arrivals_.of_splits()};
  if (CudaProducts::takes_packed(w, false, rows)) {
    products_.linear(w, packed(), behind, rows);
  } else {
    products_.linear(w, rows_, behind, rows);
  }
  return true;
}

void CudaSeam::feed_forward_and_norm(const kernels::Matrix& up, const kernels::Matrix& down,
                                     __nv_bfloat16* h, const kernels::PackedRows& packed_h,
                                     const kernels::ResidualNorm& norm, const kernels::Matrix& next,
                                     std::size_t rows) const {
  const bool takes_packed = CudaProducts::takes_packed(up, true, rows);
  if (takes_packed && CudaProducts::takes_packed(down, false, rows) && arrivals_.may_wait() &&
      products_.packs_behind(up, rows)) {
    products_.gate_up(up, packed(), packed_h, arrivals_.of_packing(), rows);
    return linear_and_norm(down, packed_h, norm, next, false, rows);
  }
  if (!norms_behind(down, rows)) {
    feed_forward(up, down, h, rows_, rows);
    kernels::ResidualNorm apart = norm;
    apart.sublayer = rows_;
    return this->norm(apart, next, false, rows);
  }
  if (takes_packed) {
    products_.gate_up(up, packed(), h, rows);
  } else {
    products_.gate_up(up, rows_, h, rows);
  }
  linear_and_norm(down, h, norm, next, false, rows);
}

}  // namespace captiond
