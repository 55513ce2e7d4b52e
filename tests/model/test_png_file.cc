// What is refused; that pictures equal Pillow's is held by test_probe.
#define BOOST_TEST_MODULE png_file

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <png.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/media_file_error.h"
#include "model/png_file.h"

using namespace captiond;

namespace {

std::string encoded(const std::vector<std::uint16_t>& pixels, png_uint_32 format) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = 2;
  image.height = 1;
  image.format = format;
  std::vector<std::uint8_t> narrow(pixels.begin(), pixels.end());
  const void* data = (format & PNG_FORMAT_FLAG_LINEAR) != 0
                         ? static_cast<const void*>(pixels.data())
                         : static_cast<const void*>(narrow.data());
  png_alloc_size_t size = 0;
  BOOST_TEST_REQUIRE(png_image_write_to_memory(&image, nullptr, &size, 0, data, 0, nullptr) != 0);
  std::string out(size, '\0');
  BOOST_TEST_REQUIRE(png_image_write_to_memory(&image, out.data(), &size, 0, data, 0, nullptr) !=
                     0);
  out.resize(size);
  return out;
}

class Written {
 public:
  explicit Written(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~Written() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                      ("captiond-test-png-" + std::to_string(getpid()) + ".png");
};

void refused(const std::string& content, const std::string& part) {
  const Written file(content);
  BOOST_CHECK_EXCEPTION(read_png(file.path()), MediaFileError, [&](const MediaFileError& error) {
    BOOST_TEST_CONTEXT(error.what()) {
      BOOST_TEST(std::string(error.what()).find(part) != std::string::npos);
    }
    return true;
  });
}

const std::vector<std::uint16_t> kTwoPixels = {10, 20, 30, 0, 200, 150, 100, 255};

// The checksum of PNG chunks, bit by bit.
std::uint32_t checksum(const std::string& bytes) {
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    sum ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~sum;
}

// The same file with a gAMA chunk of `gamma` behind its header.
std::string with_gamma(std::string png, std::uint32_t gamma) {
  std::string chunk("\0\0\0\4gAMA", 8);
  for (int shift = 24; shift >= 0; shift -= 8) chunk += static_cast<char>(gamma >> shift);
  const std::uint32_t sum = checksum(chunk.substr(4));
  for (int shift = 24; shift >= 0; shift -= 8) chunk += static_cast<char>(sum >> shift);
  const std::size_t old = png.find("gAMA");
  if (old != std::string::npos) png.erase(old - 4, 16);
  const std::size_t srgb = png.find("sRGB");
  if (srgb != std::string::npos) png.erase(srgb - 4, 13);
  return png.insert(33, chunk);
}

}  // namespace

BOOST_AUTO_TEST_CASE(alpha_is_dropped_and_not_mixed_in) {
  const Written file(encoded(kTwoPixels, PNG_FORMAT_RGBA));
  const Image image = read_png(file.path());
  BOOST_TEST((image.size == ImageSize{.width = 2, .height = 1}));
  BOOST_TEST(image.pixels == std::vector<std::uint8_t>({10, 20, 30, 200, 150, 100}));
}

BOOST_AUTO_TEST_CASE(what_pillow_would_read_otherwise_is_refused) {
  const std::string png = encoded(kTwoPixels, PNG_FORMAT_RGBA);
  refused(encoded(kTwoPixels, PNG_FORMAT_LINEAR_RGB_ALPHA), "16 bits");
  refused(with_gamma(png, 100000), "100000");
  const Written plain(with_gamma(png, 45455));
  BOOST_TEST(read_png(plain.path()).pixels.size() == 6U);
}

BOOST_AUTO_TEST_CASE(damaged_files_are_refused) {
  const std::string png = encoded(kTwoPixels, PNG_FORMAT_RGBA);
  refused("", "PNG");
  refused("GIF89a..........", "PNG");
  for (std::size_t length = 0; length < png.size(); ++length) {
    const Written file(png.substr(0, length));
    // The end chunk alone may be missing: the picture is whole then.
    if (length < png.size() - 12) BOOST_CHECK_THROW(read_png(file.path()), MediaFileError);
  }
  std::string bent = png;
  bent[bent.size() - 20] = static_cast<char>(bent[bent.size() - 20] ^ 1);
  refused(bent, "PNG");
  BOOST_CHECK_THROW(read_png("/nonexistent.png"), MediaFileError);
}
