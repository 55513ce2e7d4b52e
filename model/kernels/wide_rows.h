#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/many_rows.h"
#include "model/kernels/matrix.h"

namespace captiond::kernels {

// Products of many rows in kFp8 on tensor cores, at their best from some 256 rows on: see
// wide_rows.cuh. `x` is packed; `x.rows` may be any number. One launch each. Sums are made in the
// tensor cores along the whole of `in`, so with some 13 bits. A row's bits depend neither on the
// other rows nor on their number.
//
// Both enqueue and return. They return cudaErrorInvalidValue for another format or a shape that
// they have no way for (outputs, of gate and up their products, no multiple of 8), else the launch
// status. They throw std::invalid_argument where TensorMaps does.

// h [rows, out / 2]: see MatrixProducts::gate_up().
[[nodiscard]] cudaError_t gate_up_wide(const Matrix& w, const ManyRows& x, __nv_bfloat16* h,
                                       cudaStream_t stream);

// y [rows, out].
[[nodiscard]] cudaError_t linear_wide(const Matrix& w, const ManyRows& x, __nv_bfloat16* y,
                                      cudaStream_t stream);

// Whether the tiles of linear_wide() leave little of the `blocks` multiprocessors idle.
[[nodiscard]] bool linear_wide_fills(int out, int rows, int blocks) noexcept;

}  // namespace captiond::kernels
