#define BOOST_TEST_MODULE wav_file

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/media_file_error.h"
#include "model/wav_file.h"

using namespace captiond;

namespace {

template <typename T>
std::string bytes(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

std::string chunk(const std::string& id, const std::string& body) {
  return id + bytes(static_cast<std::uint32_t>(body.size())) + body +
         std::string(body.size() % 2, '\0');
}

std::string format(std::uint16_t kind, std::uint16_t channels, std::uint32_t rate,
                   std::uint16_t bits) {
  return chunk("fmt ", bytes(kind) + bytes(channels) + bytes(rate) + bytes(rate * channels * 2) +
                           bytes(channels) + bytes(bits));
}

std::string wav(const std::string& chunks) {
  return "RIFF" + bytes(static_cast<std::uint32_t>(chunks.size() + 4)) + "WAVE" + chunks;
}

// A file of its own for each process that runs this test.
class Written {
 public:
  explicit Written(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~Written() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                      ("captiond-test-wav-" + std::to_string(getpid()) + ".wav");
};

void refused(const std::string& content, const std::string& part) {
  const Written file(content);
  BOOST_CHECK_EXCEPTION(read_wav(file.path()), MediaFileError, [&](const MediaFileError& error) {
    BOOST_TEST_CONTEXT(error.what()) {
      BOOST_TEST(std::string(error.what()).find(part) != std::string::npos);
    }
    return true;
  });
}

const std::string kPcm = format(1, 1, 16000, 16);

}  // namespace

BOOST_AUTO_TEST_CASE(pcm_is_scaled_to_full_scale_one) {
  const std::string data = bytes(std::int16_t{0}) + bytes(std::int16_t{16384}) +
                           bytes(std::int16_t{-32768}) + bytes(std::int16_t{32767});
  const Written file(wav(kPcm + chunk("LIST", "odd") + chunk("data", data)));
  BOOST_TEST(read_wav(file.path()) == std::vector<float>({0.0F, 0.5F, -1.0F, 32767.0F / 32768.0F}));
}

BOOST_AUTO_TEST_CASE(float_samples_are_taken_as_they_are) {
  const Written file(wav(format(3, 1, 16000, 32) + chunk("data", bytes(0.25F) + bytes(-1.5F))));
  BOOST_TEST(read_wav(file.path()) == std::vector<float>({0.25F, -1.5F}));
}

BOOST_AUTO_TEST_CASE(a_file_without_samples_is_empty) {
  const Written file(wav(kPcm + chunk("data", "")));
  BOOST_TEST(read_wav(file.path()).empty());
}

BOOST_AUTO_TEST_CASE(anything_else_is_refused_with_what_it_is) {
  const std::string data = chunk("data", bytes(std::int16_t{1}));
  refused("", "RIFF");
  refused("RIFF1234WAVX", "RIFF");
  refused(wav(""), "fmt");
  refused(wav(data), "fmt");
  refused(wav(kPcm), "data");
  refused(wav(format(1, 1, 44100, 16) + data), "44100 Hz");
  refused(wav(format(1, 2, 16000, 16) + data), "2 channels");
  refused(wav(format(1, 1, 16000, 8) + data), "8 bits");
  refused(wav(format(3, 1, 16000, 64) + data), "64 bits");
  refused(wav(format(7, 1, 16000, 16) + data), "format 7");
  refused(wav(kPcm + chunk("data", "abc")), "inside of a sample");
  refused(wav(kPcm + "data" + bytes(std::uint32_t{100}) + "abcd"), "inside of a chunk");
  refused(wav(kPcm + "data" + bytes(std::numeric_limits<std::uint32_t>::max())), "chunk");
  refused(wav(chunk("fmt ", "short") + data), "fmt");
  refused(
      wav(format(3, 1, 16000, 32) + chunk("data", bytes(std::numeric_limits<float>::quiet_NaN()))),
      "no number");
  BOOST_CHECK_THROW(read_wav("/nonexistent.wav"), MediaFileError);
}
