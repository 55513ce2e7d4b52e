#pragma once

#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/matrix.h"

namespace captiond::kernels {

// Bytes of the values and the scales of a matrix [out, in] on the device.
struct MatrixBytes {
  std::size_t values = 0;
  std::size_t scales = 0;
};
MatrixBytes matrix_bytes(MatrixFormat format, int out, int in);

// Quantises `source` [out, in] bf16 into `matrix`, whose format (not kBf16), sizes and memory of
// matrix_bytes() the caller has set; all on the device. The same source gives the same bytes.
//
//   kInt8  scale = max |row| / 127, value = round to even(w / scale)
//   kFp8   scale = max |row| / 448, value = nearest e4m3 of w / scale
//   kInt4  of 32 consecutive values of a row: scale = bf16(m / -8), where m is the one of largest
//          magnitude (the first of them), value = round to even(w / scale) within -8 … 7
//
// A row or group of zeros has the scale 1; one with a value that is not finite has the scale NaN.
// The rows may as well be those of activations: in kFp8 both sides of a product of many rows are
// packed alike, so that the order of bytes inside a row does not matter there. Enqueues and
// returns; cudaErrorInvalidValue for a bad shape or format.
[[nodiscard]] cudaError_t pack_matrix(const __nv_bfloat16* source, const Matrix& matrix,
                                      cudaStream_t stream) noexcept;

// The inverse: `target` [out, in] bf16 = value * scale, rounded once. It is what the products of
// many rows multiply with.
[[nodiscard]] cudaError_t unpack_matrix(const Matrix& matrix, __nv_bfloat16* target,
                                        cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
