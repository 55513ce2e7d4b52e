#pragma once

#include <filesystem>

#include "model/image.h"

namespace captiond {

// A PNG file as 8-bit RGB, equal to what Pillow's convert("RGB") makes of it: palettes and grey
// are expanded, alpha is dropped. Refused are 16 bits a channel and a gamma other than that of
// sRGB, which libpng would convert and Pillow would not. Throws MediaFileError.
Image read_png(const std::filesystem::path& file);

}  // namespace captiond
