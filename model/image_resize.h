#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/image.h"

namespace captiond {

// Which input samples one output sample of one axis is made of, and how much of each.
struct ResizeTaps {
  std::size_t count_max = 0;          // weights stored for each output, a multiple of 8
  unsigned precision = 0;             // a weight of 1.0 is 1 << precision
  std::vector<std::uint32_t> first;   // [outputs] first input sample
  std::vector<std::uint32_t> count;   // [outputs] input samples used
  std::vector<std::int16_t> weights;  // [outputs, count_max], zero after count
};

// The tables of one axis that ImageResizer works by, for whoever does the same sums elsewhere. Both
// numbers 1 to ImageResizer::kSideMax.
ResizeTaps resize_taps(std::size_t inputs, std::size_t outputs);

// Antialiased bicubic resampling (a = -0.5) of RGB pictures in fixed point, bit-equal to torch's
// interpolate(x_uint8, mode="bicubic", antialias=True, align_corners=False) on the CPU: the
// resampling that the model's vision part was trained behind. Source: reference model.md section
// 3.2.
//
// Tables and scratch memory for one pair of sizes are made once, so that a video pays for them
// once. One thread at a time.
class ImageResizer {
 public:
  // The longest side accepted, in and out.
  static constexpr std::size_t kSideMax = std::size_t{1} << 20;

  // Throws std::invalid_argument if a side is zero or longer than kSideMax.
  ImageResizer(ImageSize from, ImageSize to);

  ImageSize from() const { return from_; }
  ImageSize to() const { return to_; }

  // Writes [to.height, to.width, 3] into `out`. Throws std::invalid_argument if the picture has not
  // the size `from`, its stride is shorter than a row, or `out` has not exactly that many bytes.
  void resize(const ImageView& picture, std::span<std::uint8_t> out);

 private:
  void resize_row(const std::uint8_t* pixels, std::int16_t* out);
  void resize_columns(std::size_t y, std::uint8_t* out) const;

  ImageSize from_;
  ImageSize to_;
  ResizeTaps horizontal_;
  ResizeTaps vertical_;
  std::size_t first_row_ = 0;  // of the picture that the vertical pass needs
  std::size_t rows_ = 0;
  std::size_t narrow_stride_ = 0;     // of narrow_, in values; a multiple of the block
  std::vector<std::int16_t> plane_;   // one input row, the three channels one after another
  std::vector<std::int16_t> narrow_;  // [rows_, narrow_stride_] after the horizontal pass
};

}  // namespace captiond
