#define BOOST_TEST_MODULE image_parity
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/image_resize.h"
#include "model/vision_patcher.h"

// Against torch and transformers, whose results make_image_cases.py has written.

namespace {

using captiond::Image;
using captiond::ImageSize;

// Records of int32 numbers and bytes, as they stand in a file of this little-endian machine.
class Records {
 public:
  explicit Records(const std::string& name)
      : file_(std::string(CAPTIOND_IMAGE_CASES) + "/" + name, std::ios::binary) {
    BOOST_REQUIRE_MESSAGE(file_, "the test image_cases must have written " << name);
  }

  bool at_end() { return file_.peek() == std::ifstream::traits_type::eof(); }

  std::size_t number() {
    std::int32_t value = 0;
    file_.read(reinterpret_cast<char*>(&value), sizeof(value));
    BOOST_REQUIRE(file_);
    BOOST_REQUIRE(value > 0);
    return static_cast<std::size_t>(value);
  }

  ImageSize size() {
    const std::size_t width = number();
    return {width, number()};
  }

  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> values(count);
    file_.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count));
    BOOST_REQUIRE(file_);
    return values;
  }

  Image image(ImageSize size) {
    return {.size = size, .pixels = bytes(3 * size.width * size.height)};
  }

 private:
  std::ifstream file_;
};

// Says where two arrays of one length differ first; empty if nowhere.
std::string difference(const std::vector<std::uint8_t>& got,
                       const std::vector<std::uint8_t>& want) {
  BOOST_REQUIRE_EQUAL(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i]) continue;
    return "byte " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " +
           std::to_string(want[i]);
  }
  return "";
}

std::string text(ImageSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

}  // namespace

BOOST_AUTO_TEST_CASE(target_sizes_are_those_of_transformers) {
  Records records("sizes.bin");
  std::size_t cases = 0;
  for (; !records.at_end(); ++cases) {
    const ImageSize picture = records.size();
    const std::size_t budget = records.number();
    const ImageSize want = records.size();
    const ImageSize got = captiond::target_grid(picture, budget).pixels();
    BOOST_REQUIRE_MESSAGE(got == want, text(picture) << " at " << budget << " becomes " << text(got)
                                                     << ", not " << text(want));
  }
  BOOST_TEST(cases > 30000u);
}

BOOST_AUTO_TEST_CASE(resized_pictures_equal_those_of_torch_byte_for_byte) {
  Records records("resize.bin");
  std::size_t cases = 0;
  for (; !records.at_end(); ++cases) {
    const ImageSize from = records.size();
    const ImageSize to = records.size();
    const Image picture = records.image(from);
    const Image want = records.image(to);
    std::vector<std::uint8_t> got(want.pixels.size());
    captiond::ImageResizer(from, to).resize(picture.view(), got);
    const std::string wrong = difference(got, want.pixels);
    BOOST_REQUIRE_MESSAGE(wrong.empty(), text(from) << " to " << text(to) << ": " << wrong);
  }
  BOOST_TEST(cases > 500u);
}

BOOST_AUTO_TEST_CASE(patches_equal_those_of_transformers_byte_for_byte) {
  Records records("patches.bin");
  std::size_t cases = 0;
  for (; !records.at_end(); ++cases) {
    const ImageSize size = records.size();
    const std::size_t budget = records.number();
    const std::size_t columns = records.number();
    const std::size_t rows = records.number();
    const Image picture = records.image(size);
    const auto want = records.bytes(columns * rows * captiond::VisionPatches::kBytesPerPatch);
    const auto got = captiond::vision_patches(picture.view(), budget);
    BOOST_TEST(got.columns == columns);
    BOOST_TEST(got.rows == rows);
    const std::string wrong = difference(got.pixels, want);
    BOOST_REQUIRE_MESSAGE(wrong.empty(), text(size) << " at " << budget << ": " << wrong);
  }
  BOOST_TEST(cases == 7u);
}
