#define BOOST_TEST_MODULE picture_patches
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/image_resize.h"
#include "model/kernels/picture_patches.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond;
using namespace captiond::kernels;

namespace {

constexpr std::size_t kSide = 48;
constexpr std::size_t kPatchRow = 3 * kSide;

// Noise with many black and white values, so that sums leave 0…255 on both sides.
std::vector<std::uint8_t> noise(std::size_t count, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<std::uint8_t> values(count);
  for (std::uint8_t& value : values) {
    const auto bits = generator();
    value = (bits & 0x300U) == 0 ? ((bits & 1U) == 0 ? 0 : 255) : static_cast<std::uint8_t>(bits);
  }
  return values;
}

// The tables of one axis on the device.
class DeviceTaps {
 public:
  DeviceTaps(std::size_t inputs, std::size_t outputs)
      : taps_(resize_taps(inputs, outputs)),
        first_(taps_.first),
        count_(taps_.count),
        weights_(taps_.weights) {}
  AxisTaps view() const {
    return {.first = first_.data(),
            .count = count_.data(),
            .weights = weights_.data(),
            .stride = static_cast<int>(taps_.count_max),
            .precision = taps_.precision};
  }

 private:
  ResizeTaps taps_;
  DeviceArray<std::uint32_t> first_;
  DeviceArray<std::uint32_t> count_;
  DeviceArray<std::int16_t> weights_;
};

// The resize of the CPU, cut here: patch after patch, row after row.
std::vector<std::uint8_t> on_the_cpu(const ImageView& picture, std::size_t columns,
                                     std::size_t rows) {
  std::vector<std::uint8_t> scaled(columns * rows * kSide * kPatchRow);
  ImageResizer(picture.size, {kSide * columns, kSide * rows}).resize(picture, scaled);
  std::vector<std::uint8_t> patches;
  patches.reserve(scaled.size());
  for (std::size_t patch = 0; patch < columns * rows; ++patch) {
    for (std::size_t row = 0; row < kSide; ++row) {
      const std::size_t y = patch / columns * kSide + row;
      const auto from =
          scaled.begin() + static_cast<std::ptrdiff_t>((y * columns + patch % columns) * kPatchRow);
      patches.insert(patches.end(), from, from + kPatchRow);
    }
  }
  return patches;
}

struct Case {
  std::size_t width, height, columns, rows;
};

void require_equal(const Case& one) {
  const Image image{.size = {one.width, one.height},
                    .pixels = noise(3 * one.width * one.height,
                                    static_cast<std::uint32_t>(one.width + 7 * one.height))};
  const DeviceArray<std::uint8_t> pixels(image.pixels);
  const DeviceTaps across(one.width, kSide * one.columns);
  const DeviceTaps down(one.height, kSide * one.rows);
  const std::size_t narrow_bytes = one.height * one.columns * kPatchRow;
  const std::size_t patch_bytes = one.columns * one.rows * kSide * kPatchRow;
  // A canary of one word behind each: a byte too many would be seen.
  const DeviceArray<std::uint8_t> narrow(std::vector<std::uint8_t>(narrow_bytes + 4, 77));
  const DeviceArray<std::uint8_t> patches(std::vector<std::uint8_t>(patch_bytes + 4, 77));
  require(scale_to_patches({.pixels = pixels.data(),
                            .width = static_cast<int>(one.width),
                            .height = static_cast<int>(one.height),
                            .across = across.view(),
                            .down = down.view(),
                            .narrow = narrow.data(),
                            .patches = patches.data(),
                            .columns = static_cast<int>(one.columns),
                            .rows = static_cast<int>(one.rows)},
                           nullptr));
  std::vector<std::uint8_t> want = on_the_cpu(image.view(), one.columns, one.rows);
  want.insert(want.end(), 4, 77);
  const std::vector<std::uint8_t> got = patches.download();
  const auto differ = std::mismatch(got.begin(), got.end(), want.begin());
  BOOST_REQUIRE_MESSAGE(differ.first == got.end(),
                        one.width << "x" << one.height << " to " << one.columns << "x" << one.rows
                                  << " patches: byte " << differ.first - got.begin() << " is "
                                  << +*differ.first << ", not " << +*differ.second);
  const std::vector<std::uint8_t> between = narrow.download();
  BOOST_REQUIRE(std::all_of(between.end() - 4, between.end(), [](auto b) { return b == 77; }));
}

}  // namespace

BOOST_AUTO_TEST_CASE(pictures_become_the_patches_of_the_cpu_byte_for_byte) {
  const std::vector<Case> cases = {
      {1920, 1080, 11, 6}, {1920, 1080, 44, 25}, {3840, 2160, 11, 6}, {640, 480, 9, 7},
      {640, 480, 38, 28},  {1024, 1024, 8, 8},   {48, 48, 1, 1},      {528, 288, 11, 6},
      {527, 289, 11, 6},   {47, 49, 8, 8},       {1, 1, 1, 1},        {1, 1, 8, 8},
      {2, 1, 11, 5},       {1, 3, 4, 14},        {37, 41, 7, 9},      {641, 361, 11, 6},
      {5001, 7, 70, 1},    {7, 5003, 1, 70},     {1080, 1920, 6, 11}, {99, 1, 1120, 1},
      {1, 99, 1, 1120},    {4001, 3001, 1, 1},   {300, 200, 3, 17}};
  for (const Case& one : cases) require_equal(one);
}

BOOST_AUTO_TEST_CASE(the_longest_sides_are_served) {
  // 300,000 rows are more than a grid of blocks has, four to a block.
  require_equal({1, 300'000, 1, 2});
  require_equal({ImageResizer::kSideMax, 1, 2, 1});
}

BOOST_AUTO_TEST_CASE(bad_sizes_and_missing_pointers_are_refused) {
  const DeviceTaps taps(4, kSide);
  const DeviceArray<std::uint8_t> bytes(kSide * kPatchRow);
  const PictureScaling good{.pixels = bytes.data(),
                            .width = 4,
                            .height = 4,
                            .across = taps.view(),
                            .down = taps.view(),
                            .narrow = bytes.data(),
                            .patches = bytes.data(),
                            .columns = 1,
                            .rows = 1};
  const auto refused = [&](auto&& change) {
    PictureScaling bad = good;
    change(bad);
    BOOST_TEST(scale_to_patches(bad, nullptr) == cudaErrorInvalidValue);
  };
  refused([](PictureScaling& s) { s.pixels = nullptr; });
  refused([](PictureScaling& s) { s.narrow = nullptr; });
  refused([](PictureScaling& s) { s.patches = nullptr; });
  refused([](PictureScaling& s) { s.width = 0; });
  refused([](PictureScaling& s) { s.height = -1; });
  refused([](PictureScaling& s) { s.columns = 0; });
  refused([](PictureScaling& s) { s.rows = 0; });
  refused([](PictureScaling& s) { s.across.first = nullptr; });
  refused([](PictureScaling& s) { s.down.weights = nullptr; });
  refused([](PictureScaling& s) { s.down.count = nullptr; });
  refused([](PictureScaling& s) { s.across.stride = 0; });
  refused([](PictureScaling& s) { s.down.precision = 23; });
}
