#define BOOST_TEST_MODULE vision_patcher
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "model/vision_patcher.h"

namespace {

using captiond::Image;
using captiond::ImageSize;
using captiond::PatchGrid;
using captiond::VisionPatcher;
using captiond::VisionPatches;

template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was refused";
}

void require_pixels(ImageSize picture, std::size_t budget, ImageSize want, std::size_t tokens) {
  const PatchGrid grid = captiond::target_grid(picture, budget);
  BOOST_TEST_CONTEXT(picture.width << "x" << picture.height << " at " << budget) {
    BOOST_TEST(grid.pixels().width == want.width);
    BOOST_TEST(grid.pixels().height == want.height);
    BOOST_TEST(grid.count() == tokens);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(target_sizes_are_those_of_the_reference_table) {
  require_pixels({1920, 1080}, 70, {528, 288}, 66);
  require_pixels({1920, 1080}, 140, {720, 384}, 120);
  require_pixels({1920, 1080}, 280, {1056, 576}, 264);
  require_pixels({1920, 1080}, 560, {1488, 816}, 527);
  require_pixels({1920, 1080}, 1120, {2112, 1200}, 1100);
  require_pixels({640, 480}, 70, {432, 336}, 63);
  require_pixels({640, 480}, 140, {624, 480}, 130);
  require_pixels({640, 480}, 280, {912, 672}, 266);
  require_pixels({640, 480}, 560, {1296, 960}, 540);
  require_pixels({640, 480}, 1120, {1824, 1344}, 1064);
  for (const std::size_t side : {std::size_t{1024}, std::size_t{224}}) {
    require_pixels({side, side}, 70, {384, 384}, 64);
    require_pixels({side, side}, 140, {528, 528}, 121);
    require_pixels({side, side}, 280, {768, 768}, 256);
    require_pixels({side, side}, 560, {1104, 1104}, 529);
    require_pixels({side, side}, 1120, {1584, 1584}, 1089);
  }
}

BOOST_AUTO_TEST_CASE(a_strip_is_one_patch_thick_and_at_most_the_budget_long) {
  require_pixels({10000, 1}, 70, {3360, 48}, 70);
  require_pixels({1, 10000}, 1120, {48, 53760}, 1120);
  require_pixels({71, 1}, 70, {3360, 48}, 70);
  require_pixels({2, 143}, 70, {48, 3360}, 70);
  require_pixels({1 << 20, 1}, 280, {13440, 48}, 280);
}

BOOST_AUTO_TEST_CASE(every_shape_fits_every_budget_and_fills_most_of_it) {
  for (const std::size_t budget : captiond::vision_budgets()) {
    for (std::size_t width = 1; width < 3000; width += 1 + width / 7) {
      for (std::size_t height = 1; height < 3000; height += 1 + height / 7) {
        const PatchGrid grid = captiond::target_grid({width, height}, budget);
        BOOST_REQUIRE(grid.columns > 0 && grid.rows > 0);
        BOOST_REQUIRE(grid.count() <= budget);
        BOOST_REQUIRE(2 * grid.count() >= budget);  // floor() loses less than half
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(budgets_the_model_does_not_know_are_refused) {
  for (const std::size_t budget : {0u, 1u, 69u, 71u, 256u, 1119u, 1121u}) {
    BOOST_TEST(refusal([&] {
                 (void)captiond::target_grid({640, 480}, budget);
               }) == "a picture's budget must be one of 70, 140, 280, 560, 1120 soft tokens, not " +
                         std::to_string(budget));
  }
}

BOOST_AUTO_TEST_CASE(empty_and_endless_pictures_are_refused_with_numbers) {
  BOOST_TEST(refusal([] {
               VisionPatcher({0, 480}, 70);
             }) ==
             "a picture of 0x480 pixels cannot be cut to patches: each side must be 1 to 1048576 "
             "pixels");
  BOOST_TEST(refusal([] {
               VisionPatcher({640, 0}, 70);
             }) ==
             "a picture of 640x0 pixels cannot be cut to patches: each side must be 1 to 1048576 "
             "pixels");
  BOOST_TEST(refusal([] {
               VisionPatcher({1048577, 2}, 70);
             }) ==
             "a picture of 1048577x2 pixels cannot be cut to patches: each side must be 1 to "
             "1048576 pixels");
}

BOOST_AUTO_TEST_CASE(patches_lie_in_raster_order_and_hold_rows_of_rgb) {
  // 336 high, 432 wide is the target of a 4:3 picture at 70, so that nothing is resampled.
  Image image{.size = {432, 336}, .pixels = {}};
  for (std::size_t y = 0; y < 336; ++y) {
    for (std::size_t x = 0; x < 432; ++x) {
      const auto patch = static_cast<std::uint8_t>(y / 48 * 9 + x / 48);
      image.pixels.insert(image.pixels.end(), {patch, static_cast<std::uint8_t>(y % 48),
                                               static_cast<std::uint8_t>(x % 48)});
    }
  }
  const VisionPatches patches = captiond::vision_patches(image.view(), 70);
  BOOST_TEST(patches.columns == 9u);
  BOOST_TEST(patches.rows == 7u);
  BOOST_TEST(!patches.video_frame);
  BOOST_REQUIRE_EQUAL(patches.pixels.size(), 63 * VisionPatches::kBytesPerPatch);
  const std::uint8_t* value = patches.pixels.data();
  for (int patch = 0; patch < 63; ++patch) {
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 48; ++x, value += 3) {
        BOOST_REQUIRE_EQUAL(+value[0], patch);
        BOOST_REQUIRE_EQUAL(+value[1], y);
        BOOST_REQUIRE_EQUAL(+value[2], x);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_output_of_another_size_is_refused) {
  VisionPatcher patcher({640, 480}, 70);
  const Image image{.size = {640, 480}, .pixels = std::vector<std::uint8_t>(640 * 480 * 3)};
  std::vector<std::uint8_t> out(patcher.grid().bytes() - 1);
  BOOST_TEST(refusal([&] { patcher.patch(image.view(), out); }) ==
             "9x7 patches need 435456 bytes, the output has 435455");
}
