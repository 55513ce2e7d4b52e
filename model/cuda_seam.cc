#include "model/cuda_seam.h"

#include "model/cuda_products.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/norm.h"
#include "model/kernels/norm_packing.h"
#include "model/kernels/row_packing.h"

namespace captiond {

CudaSeam::CudaSeam(const CudaProducts& products, __nv_bfloat16* rows, std::size_t rows_max,
                   std::size_t width)
    : products_(products),
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

}  // namespace captiond
