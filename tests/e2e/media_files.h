// Media for the tests, made rather than kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace captiond::test {

// The bytes of a WAV file: `seconds` of a 440 Hz tone, 16-bit mono at 16 kHz.
std::string tone_wav(double seconds);

// The 44 bytes before the samples of a WAV file that says it holds `sample_bytes`.
std::string wav_header(std::uint32_t sample_bytes);

// Runs a gst-launch line that ends by itself. Throws std::runtime_error with its error.
void run_pipeline(const std::string& line);

// Writes a WebM file of one second of moving picture, and sound if `with_sound`.
void write_film(const std::filesystem::path& file, bool with_sound);

}  // namespace captiond::test
