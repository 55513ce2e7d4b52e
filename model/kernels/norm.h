#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// Widest row of the kernels here; widths are multiples of 8.
inline constexpr int kNormWidthMax = 8192;

// y[i, :] = x[j, :] / sqrt(mean(x[j, :]²) + eps) * weight, rounded once; j = rows[i], or i.
struct RmsNorm {
  const __nv_bfloat16* x = nullptr;       // [*, width], device, 16-byte aligned like all here
  const __nv_bfloat16* weight = nullptr;  // [width]; null: none
  const int* rows = nullptr;              // [count] rows of x, device; null: the first `count`
  __nv_bfloat16* y = nullptr;             // [count, width]; may be x when rows is null
  int width = 0;
  float eps = 0.0F;
};

// Sums in float32, one block a row. Enqueues and returns; allocates nothing. Returns
// cudaErrorInvalidValue for a bad shape, else the launch status. Source: reference model.md 2.1.
[[nodiscard]] cudaError_t rms_norm(const RmsNorm& norm, int count, cudaStream_t stream) noexcept;

// The seam between two sublayers (reference model.md 2.3), for each row:
//   hidden = (hidden + rms(sublayer) * post_weight) * scalar;  y = rms(hidden) * pre_weight
// rounded to bf16 where the reference forward rounds: after the post-norm, the sum, the product
// with the scalar and the pre-norm.
struct ResidualNorm {
  const __nv_bfloat16* sublayer = nullptr;     // [count, width]; may be y
  const __nv_bfloat16* post_weight = nullptr;  // [width]
  const __nv_bfloat16* scalar = nullptr;       // [1]; null: none (after attention)
  const __nv_bfloat16* pre_weight = nullptr;   // [width]; null with y (after the last layer)
  __nv_bfloat16* hidden = nullptr;             // [count, width], updated
  __nv_bfloat16* y = nullptr;                  // [count, width]; null: only hidden
  int width = 0;
  float eps = 0.0F;
};

// As rms_norm().
[[nodiscard]] cudaError_t residual_norm(const ResidualNorm& norm, int count,
                                        cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
