#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace captiond {

struct ImageSize {
  std::size_t width = 0;
  std::size_t height = 0;

  bool operator==(const ImageSize&) const = default;
};

// A borrowed RGB picture: pixel (x, y), channel c lies at pixels[y * row_stride + 3 * x + c].
struct ImageView {
  const std::uint8_t* pixels = nullptr;  // height * row_stride bytes; the last row needs no padding
  ImageSize size;
  std::size_t row_stride = 0;  // bytes, at least 3 * width
};

// An RGB picture, 8 bits a channel, [height, width, 3] without padding, channel fastest.
struct Image {
  ImageSize size;
  std::vector<std::uint8_t> pixels;  // height * width * 3

  ImageView view() const { return {pixels.data(), size, 3 * size.width}; }
};

}  // namespace captiond
