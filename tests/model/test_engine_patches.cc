// Engine::patches() where the engine has nothing faster than a core: what the GPU does is held by
// test_cuda_picture_patcher.
#define BOOST_TEST_MODULE engine_patches
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/vision_patcher.h"
#include "tests/model/toy_engine.h"

using namespace captiond;
using namespace captiond::test;

namespace {

Image pattern(ImageSize size) {
  Image image{.size = size, .pixels = std::vector<std::uint8_t>(3 * size.width * size.height)};
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 7919 % 251);
  }
  return image;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_engine_scales_pictures_to_the_patches_that_it_takes) {
  const auto engine = open_toy();
  const Image image = pattern({30, 20});
  const VisionPatches patches = engine->patches(image.view(), 70);
  const VisionPatches want = vision_patches(image.view(), 70);
  BOOST_TEST(patches.columns == want.columns);
  BOOST_TEST(patches.rows == want.rows);
  BOOST_TEST(patches.pixels == want.pixels, boost::test_tools::per_element());

  const auto context = engine->new_context();
  context->append(patches);
  BOOST_TEST(context->length() == want.count());
}

BOOST_AUTO_TEST_CASE(pictures_and_budgets_that_are_none_are_refused) {
  const auto engine = open_toy();
  Image image = pattern({30, 20});
  BOOST_CHECK_THROW(engine->patches(image.view(), 71), std::invalid_argument);
  image.size.width = 0;
  BOOST_CHECK_THROW(engine->patches(image.view(), 70), std::invalid_argument);
}
