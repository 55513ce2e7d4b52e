#pragma once

#include <cuda_runtime_api.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/norm_behind.h"

namespace captiond::kernels {

// Whether linear_normed_few() takes W and so many rows: more than kSplitRowsMax and up to 16
// (kBf16, kFp8), 32 (kInt4) or MatrixProducts::kFewRowsMax (kInt8).
[[nodiscard]] bool norms_behind_few(const Matrix& w, int rows) noexcept;

// linear_few() into behind.norm.sublayer and residual_norm() (or pack_residual_norm()) of it in one
// launch, with their bits. All its blocks run at once, one on a multiprocessor, and wait for each
// other: grid_arrivals.h.
[[nodiscard]] cudaError_t linear_normed_few(const Matrix& w, const FewRows& x,
                                            const NormBehind& behind, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
