#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

namespace captiond::kernels {

// What the outputs of one axis are made of, in fixed point: output o is
//   clamp((half + sum over i < count[o] of weights[o * stride + i] * input[first[o] + i]) >>
//   precision, 0, 255),  half = (1 << precision) >> 1.
// Device memory; first[o] + count[o] lies within the inputs, count[o] within the stride, and no sum
// exceeds int32.
struct AxisTaps {
  const std::uint32_t* first = nullptr;   // [outputs]
  const std::uint32_t* count = nullptr;   // [outputs]
  const std::int16_t* weights = nullptr;  // [outputs, stride]
  int stride = 0;
  unsigned precision = 0;  // at most 22
};

// A picture on its way to patches of 48 x 48 pixels: every row is made as wide as the patches, to
// eight bits, then the columns as high. Device memory; `narrow` and `patches` are 4-byte aligned.
struct PictureScaling {
  const std::uint8_t* pixels = nullptr;  // [height, width, 3]
  int width = 0;
  int height = 0;
  AxisTaps across;                  // from width to 48 * columns
  AxisTaps down;                    // from height to 48 * rows
  std::uint8_t* narrow = nullptr;   // [height, 48 * columns, 3], scratch
  std::uint8_t* patches = nullptr;  // [rows, columns, 48, 48, 3]
  int columns = 0;
  int rows = 0;
};

// Bit-equal to ImageResizer followed by the cut of VisionPatcher where `across` and `down` are its
// tables (reference model.md 3.2 and 3.3): all sums are integers. Enqueues and returns; does not
// allocate. cudaErrorInvalidValue for a null pointer, a size below 1 or a precision above 22, else
// the status of the launches.
[[nodiscard]] cudaError_t scale_to_patches(const PictureScaling& scaling,
                                           cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
