#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "captiond/v1/event.pb.h"

namespace captiond {

// How `captiond transcribe` writes captions.
//
//   text  one final a line
//   json  one object a line: {"file": …, then the fields of captiond.v1.Transcript}
//   vtt   WebVTT, one cue a final
//   srt   SubRip, one cue a final
enum class CaptionFormat { kText, kJson, kVtt, kSrt };

// The captions of one file as text. begin(), each caption in order, that is all.
class CaptionFormatter {
 public:
  // `file` is named in JSON.
  CaptionFormatter(CaptionFormat format, std::string file);

  // What stands before the first caption.
  std::string begin() const;

  // The caption with its line ends; empty for what the format does not show: partials in all but
  // json, finals without words in all but json.
  std::string caption(const v1::Transcript& transcript);

 private:
  const CaptionFormat format_;
  const std::string file_;
  std::size_t cues_ = 0;
};

// "01:02:03.456", hours always there; `mark` stands before the milliseconds.
std::string clock_text(std::chrono::nanoseconds time, char mark);

}  // namespace captiond
