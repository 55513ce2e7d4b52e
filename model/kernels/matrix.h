#pragma once

#include <cstddef>
#include <cstdint>

namespace captiond::kernels {

// How the values of a weight matrix are stored on the device.
enum class MatrixFormat : std::uint8_t {
  kBf16,  // [out, in] row-major, as in the checkpoint
  kFp8,   // e4m3 with one float32 scale a row, packed by pack_matrix()
  kInt8,  // -127 … 127 with one float32 scale a row, packed by pack_matrix()
  kInt4,  // -8 … 7 with one bf16 scale for 32 values of a row, packed by pack_matrix()
};

// A weight matrix W [out, in] on the device; borrowed, 16-byte aligned. `in` is a multiple of 8
// (of 32 for kInt4).
//
// Gate and up are one matrix [2 * inner, in]: all rows of gate, then all rows of up. The matrices
// of q, k and v stand one after another likewise.
struct Matrix {
  MatrixFormat format = MatrixFormat::kBf16;
  const void* values = nullptr;
  const void* scales = nullptr;  // null for kBf16
  int out = 0;
  int in = 0;
};

}  // namespace captiond::kernels
