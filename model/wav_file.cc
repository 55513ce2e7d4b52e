#include "model/wav_file.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "model/checkpoint_error.h"
#include "model/media_file_error.h"
#include "model/regular_file.h"

namespace captiond {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint16_t kPcm = 1;
constexpr std::uint16_t kFloat = 3;
constexpr std::uint32_t kRate = 16000;

template <typename T>
T little_endian(Bytes bytes, std::size_t offset) {
  static_assert(sizeof(T) <= 4);
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= std::to_integer<std::uint32_t>(bytes[offset + i]) << (8 * i);
  }
  return static_cast<T>(value);
}

class WavReader {
 public:
  WavReader(const std::filesystem::path& file, Bytes bytes) : file_(file), bytes_(bytes) {}

  std::vector<float> read() {
    if (bytes_.size() < 12 || !is(0, "RIFF") || !is(8, "WAVE")) {
      refuse("is no RIFF WAVE file");
    }
    std::optional<Bytes> format;
    std::optional<Bytes> data;
    for (std::size_t at = 12; at + 8 <= bytes_.size() && !data;) {
      const std::size_t size = little_endian<std::uint32_t>(bytes_, at + 4);
      if (size > bytes_.size() - at - 8) refuse("ends inside of a chunk");
      const Bytes body = bytes_.subspan(at + 8, size);
      if (is(at, "fmt ")) format = body;
      if (is(at, "data")) data = body;
      at += 8 + size + size % 2;
    }
    if (!format || format->size() < 16) refuse("has no whole fmt chunk before its data");
    if (!data) refuse("has no data chunk");
    return samples(*format, *data);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw MediaFileError(file_.string() + " " + what +
                         "; a prompt takes WAV files of 16 kHz, one "
                         "channel, 16-bit PCM or 32-bit float samples.");
  }

  bool is(std::size_t offset, const char* id) const {
    return std::memcmp(bytes_.data() + offset, id, 4) == 0;
  }

  std::vector<float> samples(Bytes format, Bytes data) const {
    const auto kind = little_endian<std::uint16_t>(format, 0);
    const auto channels = little_endian<std::uint16_t>(format, 2);
    const auto rate = little_endian<std::uint32_t>(format, 4);
    const auto bits = little_endian<std::uint16_t>(format, 14);
    if (rate != kRate) refuse("has a rate of " + std::to_string(rate) + " Hz");
    if (channels != 1) refuse("has " + std::to_string(channels) + " channels");
    const bool pcm = kind == kPcm && bits == 16;
    if (!pcm && !(kind == kFloat && bits == 32)) {
      refuse("has samples of format " + std::to_string(kind) + " with " + std::to_string(bits) +
             " bits");
    }
    const std::size_t width = bits / 8U;
    if (data.size() % width != 0) refuse("ends inside of a sample");
    std::vector<float> out(data.size() / width);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (pcm) {
        out[i] = static_cast<float>(little_endian<std::int16_t>(data, 2 * i)) / 32768.0F;
      } else {
        std::memcpy(&out[i], data.data() + 4 * i, 4);
        if (!std::isfinite(out[i])) refuse("has a sample that is no number");
      }
    }
    return out;
  }

  const std::filesystem::path& file_;
  const Bytes bytes_;
};

}  // namespace

std::vector<float> read_wav(const std::filesystem::path& file) {
  try {
    const MappedBytes content = RegularFile(file).map();
    return WavReader(file, content.bytes()).read();
  } catch (const CheckpointError& error) {
    throw MediaFileError(error.what());
  }
}

}  // namespace captiond
