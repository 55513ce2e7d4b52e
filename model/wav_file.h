#pragma once

#include <filesystem>
#include <vector>

namespace captiond {

// The samples of a RIFF WAVE file, full scale 1.0: 16 kHz, mono, 16-bit PCM or 32-bit float, which
// is what the model takes. Anything else is refused with a MediaFileError.
std::vector<float> read_wav(const std::filesystem::path& file);

}  // namespace captiond
