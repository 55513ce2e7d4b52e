#pragma once

#include <cuda_bf16.h>

namespace captiond::kernels {

// Rows that stand in front of a norm, and the norm is a part of the product behind it
// (split_norm.cuh):
//   hidden_after = (hidden + rms(sublayer) * post_weight) * scalar;  x = rms(hidden_after) *
//   pre_weight
// as residual_norm() has them, but that the last factor of x, one for a row, is applied to the sums
// of the product in float32 instead of to x before its rounding. Device, 16-byte aligned.
struct NormedRows {
  const __nv_bfloat16* sublayer = nullptr;     // [rows, width]
  const float* squares = nullptr;              // what the product that made `sublayer` left
  int slots = 0;                               // of a row there: square_slots() of that matrix
  const __nv_bfloat16* post_weight = nullptr;  // [width]
  const __nv_bfloat16* scalar = nullptr;       // [1]; null: none
  const __nv_bfloat16* pre_weight = nullptr;   // [width]
  const __nv_bfloat16* hidden = nullptr;       // [rows, width]
  __nv_bfloat16* hidden_after = nullptr;       // [rows, width], apart from `hidden`
  float eps = 0.0F;
};

}  // namespace captiond::kernels
