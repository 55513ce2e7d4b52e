// What the caption policy tells the world. Plain C++; caption_message.h carries the same over the
// GStreamer bus. All times are stream time: the position in the medium, whatever the speed at which
// it is played.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace captiond {

using StreamTime = std::chrono::nanoseconds;

// One hypothesis about one speech segment. Revisions of a segment follow each other, the last has
// `final` set; nothing of the next segment is told before that. The first `stable_length` bytes of
// `text` never change in later revisions of the segment. `end` of a partial is how far it has
// heard.
struct TranscriptEvent {
  std::uint64_t segment = 0;   // 0, 1, 2, … of this stream since it started
  std::uint32_t revision = 0;  // 0, 1, 2, … within the segment
  bool final = false;
  std::string text;               // UTF-8, one line, trimmed; empty: speech, but no words
  std::size_t stable_length = 0;  // bytes of `text`, a word boundary; all of it when final
  std::string language;           // code of languages.h, "en"
  StreamTime start{};             // of the segment's audio, lead-in included
  StreamTime end{};               // of the audio that the text covers
  bool truncated = false;         // the token bound was hit: the end of the text may be missing

  bool operator==(const TranscriptEvent&) const = default;
};

// The translation of a final transcript; told after it, one per language and segment.
struct TranslationEvent {
  std::uint64_t segment = 0;  // that of the transcript
  std::string text;
  std::string source_language;
  std::string language;
  StreamTime start{};  // those of the final transcript
  StreamTime end{};
  bool truncated = false;

  bool operator==(const TranslationEvent&) const = default;
};

// One sentence about one picture.
struct SceneEvent {
  std::uint64_t scene = 0;  // 0, 1, 2, … of this stream since it started
  std::string text;
  StreamTime time{};  // of the picture
  StreamTime end{};   // before which no other picture is described; `time` if that is not known
  bool truncated = false;

  bool operator==(const SceneEvent&) const = default;
};

// No speech began in [start, end), and none will. For pads that must keep time; not on the bus.
struct SilenceEvent {
  StreamTime start{};
  StreamTime end{};

  bool operator==(const SilenceEvent&) const = default;
};

// Audio in [start, end) was given up unheard because the engine is behind (live sources only).
struct LossEvent {
  StreamTime start{};
  StreamTime end{};

  bool operator==(const LossEvent&) const = default;
};

using CaptionEvent =
    std::variant<TranscriptEvent, TranslationEvent, SceneEvent, SilenceEvent, LossEvent>;

}  // namespace captiond
