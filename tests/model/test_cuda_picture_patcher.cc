// Pictures scaled on the GPU beside those of the CPU.
#define BOOST_TEST_MODULE cuda_picture_patcher
#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/cuda_picture_patcher.h"
#include "model/engine.h"
#include "model/vision_patcher.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond;

namespace {

constexpr std::size_t kFullHd = std::size_t{1920} * 1080;

Image noise(ImageSize size, std::uint32_t seed) {
  Image image{.size = size, .pixels = std::vector<std::uint8_t>(3 * size.width * size.height)};
  std::mt19937 generator(seed);
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(generator());
  return image;
}

bool equal(const VisionPatches& a, const VisionPatches& b) {
  return a.rows == b.rows && a.columns == b.columns && a.pixels == b.pixels;
}

template <class Error, class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_size_and_budget_gives_the_bytes_of_the_cpu) {
  CudaPicturePatcher patcher(kFullHd);
  for (const ImageSize size : {ImageSize{1920, 1080},
                               {1080, 1920},
                               {640, 480},
                               {1, 1},
                               {2, 3},
                               {47, 1013},
                               {528, 288},
                               {1439, 1440},
                               {9000, 3},
                               {3, 9000},
                               {48, 48}}) {
    const Image image = noise(size, 1);
    for (const std::size_t budget : vision_budgets()) {
      BOOST_REQUIRE_MESSAGE(
          equal(patcher.patches(image.view(), budget), vision_patches(image.view(), budget)),
          size.width << "x" << size.height << " at " << budget);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_second_picture_remembers_nothing_of_the_first) {
  CudaPicturePatcher patcher(kFullHd);
  for (std::uint32_t seed = 1; seed < 9; ++seed) {
    // Twice the same size, then another: tables are kept and made anew.
    const Image image = noise(seed % 3 == 0 ? ImageSize{333, 222} : ImageSize{800, 600}, seed);
    BOOST_TEST(equal(patcher.patches(image.view(), 70), vision_patches(image.view(), 70)));
  }
}

BOOST_AUTO_TEST_CASE(rows_may_have_padding) {
  const Image image = noise({13, 9}, 1);
  constexpr std::size_t kStride = 64;
  std::vector<std::uint8_t> padded(8 * kStride + 39, 77);
  for (std::size_t y = 0; y < 9; ++y) {
    std::copy_n(image.pixels.data() + y * 39, 39, padded.data() + y * kStride);
  }
  const ImageView view{.pixels = padded.data(), .size = image.size, .row_stride = kStride};
  CudaPicturePatcher patcher(kFullHd);
  BOOST_TEST(equal(patcher.patches(view, 70), vision_patches(image.view(), 70)));
}

BOOST_AUTO_TEST_CASE(threads_share_a_patcher) {
  CudaPicturePatcher patcher(kFullHd);
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < wrong.size(); ++i) {
      threads.emplace_back([&, i] {
        const Image image = noise({200 + 31 * i, 150}, static_cast<std::uint32_t>(i));
        const VisionPatches want = vision_patches(image.view(), 70);
        for (int pass = 0; pass < 50; ++pass) {
          if (!equal(patcher.patches(image.view(), 70), want)) ++wrong[i];
        }
      });
    }
  }
  for (const int count : wrong) BOOST_TEST(count == 0);
}

BOOST_AUTO_TEST_CASE(pictures_beyond_the_memory_are_refused_with_numbers) {
  CudaPicturePatcher patcher(10'000);
  const Image fits = noise({100, 100}, 1);
  BOOST_TEST(equal(patcher.patches(fits.view(), 1120), vision_patches(fits.view(), 1120)));
  const Image large = noise({101, 100}, 1);
  BOOST_TEST(refusal<RequestError>([&] { patcher.patches(large.view(), 70); }) ==
             "A picture of 101x100 pixels is larger than the GPU's memory for pictures to be "
             "scaled (picture_pixels_max 10000); scale it down before, or raise "
             "picture_pixels_max.");
  const Image strip = noise({1, 10'000}, 1);
  BOOST_TEST(refusal<RequestError>([&] { patcher.patches(strip.view(), 70); }) ==
             "A picture of 1x10000 pixels needs 1440000 bytes while it is scaled to 48x3360, the "
             "GPU has 481917 for that (picture_pixels_max 10000); scale it down before, or raise "
             "picture_pixels_max.");
}

BOOST_AUTO_TEST_CASE(what_the_cpu_refuses_is_refused) {
  CudaPicturePatcher patcher(kFullHd);
  const Image image = noise({4, 4}, 1);
  const std::string budget =
      refusal<std::invalid_argument>([&] { patcher.patches(image.view(), 71); });
  BOOST_TEST(budget == refusal<std::invalid_argument>([&] { vision_patches(image.view(), 71); }));
  ImageView empty = image.view();
  empty.size.width = 0;
  BOOST_TEST(refusal<std::invalid_argument>([&] { patcher.patches(empty, 70); }) ==
             refusal<std::invalid_argument>([&] { vision_patches(empty, 70); }));
  ImageView narrow = image.view();
  narrow.row_stride = 11;
  BOOST_TEST(refusal<std::invalid_argument>([&] { patcher.patches(narrow, 70); }) ==
             "a picture of 4x4 pixels cannot be cut to patches: its rows have 11 bytes");
}
