#include "model/png_file.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <png.h>
#include <span>
#include <string>
#include <vector>

#include "model/checkpoint_error.h"
#include "model/media_file_error.h"
#include "model/regular_file.h"

namespace captiond {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kSignatureBytes = 8;
constexpr std::uint32_t kSideMax = 1U << 16;
// Of the file, times 100000; libpng converts beyond 5 % of this.
constexpr std::uint32_t kSrgbGamma = 45455;
constexpr std::uint32_t kGammaSlack = 2000;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw MediaFileError(file.string() + " " + what + ".");
}

std::uint32_t big_endian(Bytes bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8) | std::to_integer<std::uint32_t>(bytes[offset + i]);
  }
  return value;
}

// What libpng's simplified interface does not tell.
void check_chunks(const std::filesystem::path& file, Bytes bytes) {
  for (std::size_t at = kSignatureBytes; at + 12 <= bytes.size();) {
    const std::size_t size = big_endian(bytes, at);
    if (size > bytes.size() - at - 12) refuse(file, "ends inside of a PNG chunk");
    const auto is = [&](const char* name) {
      return std::memcmp(bytes.data() + at + 4, name, 4) == 0;
    };
    if (is("IDAT")) return;
    if (is("IHDR") && size >= 9 && std::to_integer<int>(bytes[at + 16]) == 16) {
      refuse(file, "has 16 bits a channel, a prompt takes PNG files of up to 8");
    }
    if (is("gAMA") && size == 4) {
      const std::uint32_t gamma = big_endian(bytes, at + 8);
      if (gamma < kSrgbGamma - kGammaSlack || gamma > kSrgbGamma + kGammaSlack) {
        refuse(file, "has a gAMA chunk of " + std::to_string(gamma) +
                         ", a prompt takes PNG files of sRGB colours (45455)");
      }
    }
    at += 12 + size;
  }
}

// RGBA, freed by libpng even when reading fails.
std::vector<std::uint8_t> decode(const std::filesystem::path& file, Bytes bytes, ImageSize& size) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  const auto fail = [&] {
    const std::string why = image.message;
    png_image_free(&image);
    refuse(file, "is no whole PNG file: " + why);
  };
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) fail();
  if (image.width > kSideMax || image.height > kSideMax) {
    png_image_free(&image);
    refuse(file, "is longer than " + std::to_string(kSideMax) + " pixels on a side");
  }
  image.format = PNG_FORMAT_RGBA;
  size = {image.width, image.height};
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 0) fail();
  return pixels;
}

}  // namespace

Image read_png(const std::filesystem::path& file) {
  try {
    const MappedBytes content = RegularFile(file).map();
    check_chunks(file, content.bytes());
    Image image;
    const std::vector<std::uint8_t> rgba = decode(file, content.bytes(), image.size);
    image.pixels.reserve(rgba.size() / 4 * 3);
    for (std::size_t i = 0; i < rgba.size(); i += 4) {
      image.pixels.insert(image.pixels.end(), {rgba[i], rgba[i + 1], rgba[i + 2]});
    }
    return image;
  } catch (const CheckpointError& error) {
    throw MediaFileError(error.what());
  }
}

}  // namespace captiond
