#include "tests/e2e/media_files.h"

#include <cmath>
#include <numbers>
#include <stdexcept>

#include <gst/gst.h>

#include "elements/gst_handle.h"

namespace captiond::test {
namespace {

constexpr std::uint32_t kRateHz = 16000;

void append(std::string& bytes, std::uint32_t value, int width) {
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
}

}  // namespace

std::string wav_header(std::uint32_t sample_bytes) {
  std::string bytes = "RIFF";
  append(bytes, 36 + sample_bytes, 4);
  bytes += "WAVEfmt ";
  append(bytes, 16, 4);
  append(bytes, 1, 2);  // PCM
  append(bytes, 1, 2);  // channels
  append(bytes, kRateHz, 4);
  append(bytes, kRateHz * 2, 4);
  append(bytes, 2, 2);
  append(bytes, 16, 2);
  bytes += "data";
  append(bytes, sample_bytes, 4);
  return bytes;
}

std::string tone_wav(double seconds) {
  const auto samples = static_cast<std::uint32_t>(seconds * kRateHz);
  std::string bytes = wav_header(2 * samples);
  for (std::uint32_t i = 0; i < samples; ++i) {
    const double angle = 2 * std::numbers::pi * 440 * i / kRateHz;
    append(bytes, static_cast<std::uint32_t>(std::lround(8000 * std::sin(angle))), 2);
  }
  return bytes;
}

void run_pipeline(const std::string& line) {
  gst_init(nullptr, nullptr);
  GError* error = nullptr;
  const gst::ElementHandle pipeline(gst_parse_launch(line.c_str(), &error));
  const gst::ErrorHandle parse_error(error);
  if (parse_error) throw std::runtime_error(line + ": " + parse_error->message);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const gst::BusHandle bus(gst_element_get_bus(pipeline.get()));
  const auto awaited = static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  const gst::MessageHandle message(gst_bus_timed_pop_filtered(bus.get(), 60 * GST_SECOND, awaited));
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  if (!message || GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) {
    throw std::runtime_error(line + ": failed");
  }
}

void write_film(const std::filesystem::path& file, bool with_sound) {
  std::string line =
      "videotestsrc num-buffers=25 ! video/x-raw,width=160,height=120,framerate=25/1 ! vp8enc "
      "deadline=1 ! webmmux name=mux ! filesink location=" +
      file.native();
  if (with_sound) {
    line +=
        " audiotestsrc num-buffers=44 samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=2 "
        "! vorbisenc ! mux.";
  }
  run_pipeline(line);
}

}  // namespace captiond::test
