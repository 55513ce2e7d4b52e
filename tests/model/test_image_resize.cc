#define BOOST_TEST_MODULE image_resize
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "model/image_resize.h"

// Equality with torch is held by test_image_parity; here is what must hold without it.

namespace {

using captiond::Image;
using captiond::ImageResizer;
using captiond::ImageSize;
using captiond::ImageView;

Image noise(ImageSize size) {
  Image image{.size = size, .pixels = std::vector<std::uint8_t>(3 * size.width * size.height)};
  std::uint32_t state = 1;
  for (auto& value : image.pixels) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<std::uint8_t>(state >> 24);
  }
  return image;
}

std::vector<std::uint8_t> resized(const ImageView& picture, ImageSize to) {
  ImageResizer resizer(picture.size, to);
  std::vector<std::uint8_t> out(3 * to.width * to.height);
  resizer.resize(picture, out);
  return out;
}

// Runs `body`, which must throw std::invalid_argument, and returns its sentence.
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_same_size_gives_the_same_pixels) {
  for (const ImageSize size : {ImageSize{1, 1}, {7, 5}, {48, 96}, {101, 3}}) {
    const Image image = noise(size);
    BOOST_TEST(resized(image.view(), size) == image.pixels, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(one_colour_stays_that_colour_at_any_size) {
  for (const ImageSize from : {ImageSize{1, 1}, {2, 300}, {37, 41}, {1000, 3}}) {
    for (const ImageSize to : {ImageSize{1, 1}, {48, 48}, {3, 200}, {528, 1}}) {
      Image image{.size = from, .pixels = {}};
      for (std::size_t i = 0; i < from.width * from.height; ++i) {
        image.pixels.insert(image.pixels.end(), {0, 119, 255});
      }
      const auto out = resized(image.view(), to);
      for (std::size_t i = 0; i < out.size(); i += 3) {
        BOOST_REQUIRE_EQUAL(+out[i], 0);
        BOOST_REQUIRE_EQUAL(+out[i + 1], 119);
        BOOST_REQUIRE_EQUAL(+out[i + 2], 255);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(halving_uses_the_eight_neighbours_of_the_cubic) {
  // Scale 2, a = -1/2: distances 0.25, 0.75, 1.25, 1.75 from an output's centre weigh 0.8671875,
  // 0.2265625, -0.0703125, -0.0234375, over 2. An edge of 0 | 255 between inputs 9 and 10 lies
  // between outputs 4 and 5, away from the borders; outputs 3 and 6 overshoot by 3 into the clamps.
  Image image{.size = {20, 1}, .pixels = std::vector<std::uint8_t>(60, 0)};
  std::fill(image.pixels.begin() + 30, image.pixels.end(), std::uint8_t{255});
  const auto out = resized(image.view(), {10, 1});
  const int want[] = {0, 0, 0, 0, 17, 238, 255, 255, 255, 255};
  for (std::size_t x = 0; x < 10; ++x) BOOST_TEST(+out[3 * x] == want[x], "at x = " << x);
}

BOOST_AUTO_TEST_CASE(rows_may_have_padding_and_the_last_one_may_lack_it) {
  const Image image = noise({13, 9});
  constexpr std::size_t kStride = 64;
  std::vector<std::uint8_t> padded(8 * kStride + 39, 77);
  for (std::size_t y = 0; y < 9; ++y) {
    std::copy_n(image.pixels.data() + y * 39, 39, padded.data() + y * kStride);
  }
  const ImageView view{.pixels = padded.data(), .size = image.size, .row_stride = kStride};
  BOOST_TEST(resized(view, {48, 48}) == resized(image.view(), {48, 48}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_resizer_used_twice_remembers_nothing) {
  ImageResizer resizer({50, 40}, {48, 96});
  std::vector<std::uint8_t> first(3 * 48 * 96);
  std::vector<std::uint8_t> again(first.size());
  const Image image = noise({50, 40});
  const Image white{.size = {50, 40}, .pixels = std::vector<std::uint8_t>(6000, 255)};
  resizer.resize(image.view(), first);
  resizer.resize(white.view(), again);
  resizer.resize(image.view(), again);
  BOOST_TEST(first == again, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tables_stay_within_their_inputs_and_sum_up_to_one) {
  for (const std::size_t inputs : {1U, 2U, 47U, 1080U, 5001U}) {
    for (const std::size_t outputs : {1U, 48U, 289U, 2112U}) {
      const captiond::ResizeTaps taps = captiond::resize_taps(inputs, outputs);
      BOOST_REQUIRE_EQUAL(taps.first.size(), outputs);
      BOOST_REQUIRE_EQUAL(taps.count.size(), outputs);
      BOOST_REQUIRE_EQUAL(taps.weights.size(), outputs * taps.count_max);
      // What a GPU has room for, see cuda_picture_patcher.cc.
      BOOST_REQUIRE_LE(outputs * taps.count_max, 4 * inputs + 12 * outputs);
      for (std::size_t output = 0; output < outputs; ++output) {
        BOOST_REQUIRE_GE(taps.count[output], 1U);
        BOOST_REQUIRE_LE(taps.count[output], taps.count_max);
        BOOST_REQUIRE_LE(taps.first[output] + taps.count[output], inputs);
        int sum = 0;
        int sum_of_sizes = 0;
        for (std::size_t tap = 0; tap < taps.count_max; ++tap) {
          const int weight = taps.weights[output * taps.count_max + tap];
          sum += weight;
          sum_of_sizes += std::abs(weight);
          BOOST_REQUIRE(tap < taps.count[output] || weight == 0);
        }
        BOOST_REQUIRE_LE(std::abs(sum - (1 << taps.precision)),
                         static_cast<int>(taps.count[output]));
        BOOST_REQUIRE_LE(sum_of_sizes, 2 << taps.precision);  // 255 times as much fits int32
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sides_of_zero_or_beyond_the_limit_are_refused_with_numbers) {
  BOOST_TEST(refusal([] {
               ImageResizer({0, 4}, {48, 48});
             }) ==
             "cannot resize: the picture's size is 0x4, each side must be 1 to 1048576 pixels");
  BOOST_TEST(refusal([] {
               ImageResizer({4, 4}, {48, 0});
             }) == "cannot resize: the wanted size is 48x0, each side must be 1 to 1048576 pixels");
  BOOST_TEST(refusal([] {
               ImageResizer({4, 1048577}, {48, 48});
             }) ==
             "cannot resize: the picture's size is 4x1048577, each side must be 1 to 1048576 "
             "pixels");
}

BOOST_AUTO_TEST_CASE(a_picture_or_an_output_of_another_size_is_refused_with_numbers) {
  ImageResizer resizer({4, 4}, {2, 2});
  std::vector<std::uint8_t> out(12);
  const Image other = noise({4, 5});
  BOOST_TEST(refusal([&] { resizer.resize(other.view(), out); }) ==
             "cannot resize: the resizer is for pictures of 4x4 pixels, this one has 4x5 and rows "
             "of 12 bytes");
  const Image image = noise({4, 4});
  ImageView narrow = image.view();
  narrow.row_stride = 11;
  BOOST_TEST(refusal([&] { resizer.resize(narrow, out); }) ==
             "cannot resize: the resizer is for pictures of 4x4 pixels, this one has 4x4 and rows "
             "of 11 bytes");
  out.resize(11);
  BOOST_TEST(refusal([&] { resizer.resize(image.view(), out); }) ==
             "cannot resize: 2x2 pixels need 12 bytes, the output has 11");
}
