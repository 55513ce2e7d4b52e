// Separable: every row that is needed is made as wide as the result, then the columns as high. Both
// passes are int16 by int16 products summed in int32, in shapes that compilers turn into
// multiply-add instructions: the horizontal one over de-interleaved channels and a multiple of
// kTapBlock taps, the vertical one over blocks of kColumnBlock neighbours.
#include "model/image_resize.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace captiond {
namespace {

constexpr std::size_t kChannels = 3;
constexpr std::size_t kTapBlock = 8;
constexpr std::size_t kColumnBlock = 32;
constexpr unsigned kPrecisionMax = 22;

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The cubic convolution kernel with a = -1/2 (Keys 1981), zero outside (-2, 2).
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return 0.0;
}

// The weights of one axis in double precision, with stride `stride` per output.
struct RealTaps {
  std::vector<std::uint32_t> first;
  std::vector<std::uint32_t> count;
  std::vector<double> weights;
  std::size_t stride = 0;
};

RealTaps real_taps(std::size_t inputs, std::size_t outputs) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double stretch = std::max(scale, 1.0);  // antialiasing: the kernel widens when shrinking
  const double support = 2.0 * stretch;
  RealTaps taps;
  taps.stride = 2 * static_cast<std::size_t>(std::ceil(support)) + 1;
  taps.first.resize(outputs);
  taps.count.resize(outputs);
  taps.weights.assign(outputs * taps.stride, 0.0);
  for (std::size_t output = 0; output < outputs; ++output) {
    const double center = scale * (static_cast<double>(output) + 0.5);
    const double begin = std::trunc(center - support + 0.5);
    const double end = std::trunc(center + support + 0.5);
    const auto first = static_cast<std::int64_t>(std::max(begin, 0.0));
    const auto last = static_cast<std::int64_t>(std::min(end, static_cast<double>(inputs)));
    const auto count =
        std::clamp(last - first, std::int64_t{0}, static_cast<std::int64_t>(taps.stride));
    double* weights = taps.weights.data() + output * taps.stride;
    double total = 0.0;
    for (std::int64_t tap = 0; tap < count; ++tap) {
      weights[tap] = cubic((static_cast<double>(tap + first) - center + 0.5) * (1.0 / stretch));
      total += weights[tap];
    }
    for (std::int64_t tap = 0; tap < count; ++tap) weights[tap] /= total;
    taps.first[output] = static_cast<std::uint32_t>(first);
    taps.count[output] = static_cast<std::uint32_t>(count);
  }
  return taps;
}

// The finest fixed point at which the largest weight still fits int16.
unsigned finest_precision(const std::vector<double>& weights) {
  const double largest = *std::max_element(weights.begin(), weights.end());
  unsigned precision = 0;
  while (precision < kPrecisionMax && 0.5 + largest * (1 << (precision + 1)) < 32768.0) {
    ++precision;
  }
  return precision;
}

std::int16_t to_pixel(std::int32_t sum, unsigned precision) {
  return static_cast<std::int16_t>(std::clamp(sum >> precision, 0, 255));
}

// Sum of n products, n a multiple of kTapBlock.
std::int32_t dot(const std::int16_t* a, const std::int16_t* b, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t block = 0; block < n; block += kTapBlock) {
    for (std::size_t i = 0; i < kTapBlock; ++i) {
      sum += static_cast<std::int32_t>(a[block + i]) * b[block + i];
    }
  }
  return sum;
}

std::string text(ImageSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

void require_size(ImageSize size, const char* which) {
  for (const std::size_t side : {size.width, size.height}) {
    if (side == 0 || side > ImageResizer::kSideMax) {
      throw std::invalid_argument("cannot resize: the " + std::string(which) + " size is " +
                                  text(size) + ", each side must be 1 to " +
                                  std::to_string(ImageResizer::kSideMax) + " pixels");
    }
  }
}

}  // namespace

ResizeTaps resize_taps(std::size_t inputs, std::size_t outputs) {
  RealTaps real = real_taps(inputs, outputs);
  ResizeTaps taps;
  taps.precision = finest_precision(real.weights);
  taps.count_max = round_up(*std::max_element(real.count.begin(), real.count.end()), kTapBlock);
  taps.weights.assign(outputs * taps.count_max, 0);
  const double one = 1 << taps.precision;
  for (std::size_t output = 0; output < outputs; ++output) {
    for (std::size_t tap = 0; tap < real.count[output]; ++tap) {
      const double weight = real.weights[output * real.stride + tap];
      taps.weights[output * taps.count_max + tap] =
          static_cast<std::int16_t>(weight * one + (weight < 0.0 ? -0.5 : 0.5));
    }
  }
  taps.first = std::move(real.first);
  taps.count = std::move(real.count);
  return taps;
}

ImageResizer::ImageResizer(ImageSize from, ImageSize to) : from_(from), to_(to) {
  require_size(from, "picture's");
  require_size(to, "wanted");
  horizontal_ = resize_taps(from.width, to.width);
  vertical_ = resize_taps(from.height, to.height);
  first_row_ = vertical_.first.front();
  rows_ = vertical_.first.back() + vertical_.count.back() - first_row_;
  narrow_stride_ = round_up(kChannels * to.width, kColumnBlock);
  // A dot product may read count_max values from any tap on; their weights are zero there.
  plane_.assign(kChannels * (from.width + horizontal_.count_max), 0);
  narrow_.assign(rows_ * narrow_stride_, 0);
}

void ImageResizer::resize(const ImageView& picture, std::span<std::uint8_t> out) {
  if (picture.size != from_ || picture.row_stride < kChannels * from_.width) {
    throw std::invalid_argument("cannot resize: the resizer is for pictures of " + text(from_) +
                                " pixels, this one has " + text(picture.size) + " and rows of " +
                                std::to_string(picture.row_stride) + " bytes");
  }
  if (out.size() != kChannels * to_.width * to_.height) {
    throw std::invalid_argument("cannot resize: " + text(to_) + " pixels need " +
                                std::to_string(kChannels * to_.width * to_.height) +
                                " bytes, the output has " + std::to_string(out.size()));
  }
  for (std::size_t row = 0; row < rows_; ++row) {
    resize_row(picture.pixels + (first_row_ + row) * picture.row_stride,
               narrow_.data() + row * narrow_stride_);
  }
  for (std::size_t y = 0; y < to_.height; ++y) {
    resize_columns(y, out.data() + y * kChannels * to_.width);
  }
}

// One row of from.width pixels to to.width pixels.
void ImageResizer::resize_row(const std::uint8_t* pixels, std::int16_t* out) {
  const std::size_t plane_stride = from_.width + horizontal_.count_max;
  for (std::size_t x = 0; x < from_.width; ++x) {
    for (std::size_t channel = 0; channel < kChannels; ++channel) {
      plane_[channel * plane_stride + x] = pixels[kChannels * x + channel];
    }
  }
  const std::int32_t half = (1 << horizontal_.precision) >> 1;
  for (std::size_t x = 0; x < to_.width; ++x) {
    const std::int16_t* weights = horizontal_.weights.data() + x * horizontal_.count_max;
    const std::int16_t* inputs = plane_.data() + horizontal_.first[x];
    for (std::size_t channel = 0; channel < kChannels; ++channel) {
      const std::int32_t sum = dot(inputs + channel * plane_stride, weights, horizontal_.count_max);
      out[kChannels * x + channel] = to_pixel(half + sum, horizontal_.precision);
    }
  }
}

// Row y of the result from the rows of narrow_ that it is made of.
void ImageResizer::resize_columns(std::size_t y, std::uint8_t* out) const {
  const std::int16_t* weights = vertical_.weights.data() + y * vertical_.count_max;
  const std::int16_t* inputs = narrow_.data() + (vertical_.first[y] - first_row_) * narrow_stride_;
  const std::int32_t half = (1 << vertical_.precision) >> 1;
  const std::size_t values = kChannels * to_.width;
  for (std::size_t block = 0; block < values; block += kColumnBlock) {
    std::int32_t sums[kColumnBlock];
    std::fill_n(sums, kColumnBlock, half);
    for (std::size_t tap = 0; tap < vertical_.count[y]; ++tap) {
      const std::int16_t* row = inputs + tap * narrow_stride_ + block;
      const std::int16_t weight = weights[tap];
      for (std::size_t i = 0; i < kColumnBlock; ++i) {
        sums[i] += static_cast<std::int32_t>(row[i]) * weight;
      }
    }
    std::uint8_t pixels[kColumnBlock];
    for (std::size_t i = 0; i < kColumnBlock; ++i) {
      pixels[i] = static_cast<std::uint8_t>(to_pixel(sums[i], vertical_.precision));
    }
    std::copy_n(pixels, std::min(kColumnBlock, values - block), out + block);
  }
}

}  // namespace captiond
