#include "pipeline/caption_format.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "pipeline/message_json.h"
#include "pipeline/printable_text.h"
#include "pipeline/proto_time.h"

namespace captiond {
namespace {

// WebVTT's character references; they also keep "-->" out of a cue.
std::string vtt_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string clock_text(std::chrono::nanoseconds time, char mark) {
  const auto milliseconds = std::chrono::round<std::chrono::milliseconds>(time).count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%02lld:%02lld:%02lld%c%03lld",
                static_cast<long long>(milliseconds / 3'600'000),
                static_cast<long long>(milliseconds / 60'000 % 60),
                static_cast<long long>(milliseconds / 1000 % 60), mark,
                static_cast<long long>(milliseconds % 1000));
  return text.data();
}

CaptionFormatter::CaptionFormatter(CaptionFormat format, std::string file)
    : format_(format), file_(std::move(file)) {}

std::string CaptionFormatter::begin() const {
  return format_ == CaptionFormat::kVtt ? "WEBVTT\n\n" : "";
}

std::string CaptionFormatter::caption(const v1::Transcript& transcript) {
  if (format_ == CaptionFormat::kJson) {
    nlohmann::ordered_json json = {{"file", file_}};
    json.update(message_json(transcript));
    return json_line(json) + "\n";
  }
  if (!transcript.final() || transcript.text().empty()) return {};
  // A line end would end the line, or the cue, too early.
  const std::string text = printable(transcript.text());
  if (format_ == CaptionFormat::kText) return text + "\n";
  ++cues_;
  const char mark = format_ == CaptionFormat::kVtt ? '.' : ',';
  const std::string times = clock_text(from_duration(transcript.start()), mark) + " --> " +
                            clock_text(from_duration(transcript.end()), mark) + "\n";
  if (format_ == CaptionFormat::kVtt) return times + vtt_text(text) + "\n\n";
  return std::to_string(cues_) + "\n" + times + text + "\n\n";
}

}  // namespace captiond
