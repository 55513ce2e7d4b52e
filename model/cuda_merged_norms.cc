#include "model/cuda_merged_norms.h"

#include <cuda_bf16.h>

#include "model/cuda_products.h"
#include "model/cuda_weights.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/normed_rows.h"

namespace captiond {
namespace {

std::size_t rows_max_of(const CudaWeights& weights) {
  using Products = kernels::MatrixProducts;
  const auto& layers = weights.layers();
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    if (!Products::makes_norms(layers[i].attention_out, layers[i].gate_up) ||
        !Products::makes_norms(layers[i].down, layers[i + 1].query_key_value))
      return 0;
  }
  return Products::kNormedRowsMax;
}

}  // namespace

CudaMergedNorms::CudaMergedNorms(const CudaProducts& products, const CudaWeights& weights,
                                 float eps, __nv_bfloat16* normal, __nv_bfloat16* hidden)
    : products_(products),
      eps_(eps),
      normal_(normal),
      hidden_(hidden),
      rows_max_(rows_max_of(weights)),
      slots_(products.square_slots(weights.layers().front().down)),
      squares_(DeviceMemory::zeroed(
          kernels::MatrixProducts::kNormedRowsMax * slots_ * sizeof(float), "the squares of rows")),
      hidden_after_(
          DeviceMemory::zeroed(static_cast<std::size_t>(weights.layers().front().down.out) *
                                   kernels::MatrixProducts::kNormedRowsMax * sizeof(__nv_bfloat16),
                               "the residual stream of few rows")) {}

bool CudaMergedNorms::serves(std::size_t rows) const { return rows <= rows_max_; }

void CudaMergedNorms::in_front(const kernels::Matrix& w, const __nv_bfloat16* x, std::size_t rows,
                               bool behind_attention) const {
  products_.linear(w, x, normal_, squares_.as<float>(), rows, behind_attention);
}

kernels::NormedRows CudaMergedNorms::rows_of(const Weights& norm, const __nv_bfloat16* from,
                                             __nv_bfloat16* to) const {
  return {.sublayer = normal_,
          .squares = squares_.as<float>(),
          .slots = static_cast<int>(slots_),
          .post_weight = norm.post,
          .scalar = norm.scalar,
          .pre_weight = norm.pre,
          .hidden = from,
          .hidden_after = to,
          .eps = eps_};
}

void CudaMergedNorms::linear_back(const Weights& norm, const kernels::Matrix& w, __nv_bfloat16* y,
                                  std::size_t rows) const {
  products_.linear(w, rows_of(norm, hidden_after_.as<__nv_bfloat16>(), hidden_), y, rows);
}

void CudaMergedNorms::gate_up_out(const Weights& norm, const kernels::Matrix& w, __nv_bfloat16* h,
                                  std::size_t rows) const {
  products_.gate_up(w, rows_of(norm, hidden_, hidden_after_.as<__nv_bfloat16>()), h, rows);
}

}  // namespace captiond
