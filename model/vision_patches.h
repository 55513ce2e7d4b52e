#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace captiond {

// One picture (or video frame) as rows * columns patches of 48 x 48 pixels, raster order; a patch
// is 6912 bytes in order row, column, channel (R, G, B), channel fastest. One soft token a patch.
// Source: reference model.md section 3.3.
struct VisionPatches {
  static constexpr std::size_t kSide = 48;
  static constexpr std::size_t kBytesPerPatch = kSide * kSide * 3;
  static constexpr std::size_t kPatchesMax = 1120;  // the largest published budget
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::uint8_t> pixels;  // rows * columns * kBytesPerPatch
  bool video_frame = false;  // token type 2 and the video soft token instead of the image one

  std::size_t count() const { return rows * columns; }
};

}  // namespace captiond
