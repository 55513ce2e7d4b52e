#pragma once

#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/grid_arrivals.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/norm.h"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {

// Widest row that a product norms behind itself.
inline constexpr int kNormBehindWidthMax = 4096;

// The norms that a product of many rows makes of what it wrote, once all of it stands.
struct NormBehind {
  ResidualNorm norm;             // `sublayer` is where the product writes; `pre_weight` is there
  PackedRows packed = {};        // instead of norm.y, or null
  unsigned* arrivals = nullptr;  // kSplitArrivalBytes: grid_arrivals.h
};

// Whether `behind` is whole and fits W.
[[nodiscard]] bool can_norm(const Matrix& w, const NormBehind& behind) noexcept;

// Whether linear_normed_many() runs for W and so many rows: all its blocks must find room at once.
[[nodiscard]] cudaError_t norms_behind(const Matrix& w, const ManyRows& x, bool& runs);

// linear_many() into behind.norm.sublayer and residual_norm() or pack_residual_norm() of it in one
// launch, with their bits; for up to kManyRowsMax rows, w.out of up to kNormBehindWidthMax.
// As linear_many() otherwise.
[[nodiscard]] cudaError_t linear_normed_many(const Matrix& w, const ManyRows& x,
                                             const NormBehind& behind, cudaStream_t stream);

}  // namespace captiond::kernels
