// What a SpeechCaptioner remembers of a segment of speech, from its begin to its last answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elements/caption_event.h"
#include "elements/stable_prefix.h"
#include "model/engine.h"

namespace captiond {

struct SpeechSegment {
  SpeechSegment(std::uint64_t segment_number, StreamTime begin, std::size_t hold_back_words)
      : number(segment_number), start(begin), end(begin), stable(hold_back_words) {}

  std::uint64_t number;
  StreamTime start;
  StreamTime end;  // of the audio taken so far; once closing, of the segment
  std::unique_ptr<Context> context;
  AudioPatches pending;          // taken, not yet appended
  std::size_t appended = 0;      // patches in the context
  std::size_t next_partial = 0;  // due when so many patches are there
  StablePrefix stable;
  std::uint32_t revision = 0;  // of the next event
  std::string told_text;       // by the last event
  std::size_t told_stable = 0;

  std::size_t patches() const { return appended + pending.count(); }
};

// A hypothesis asked for, of the open segment.
struct PartialRequest {
  std::uint64_t request = 0;
  std::unique_ptr<Context> context;
  std::size_t patches = 0;
  StreamTime end{};
};

// A follow-up turn of a segment whose final text is known.
struct TranslationRequest {
  std::string language;
  std::uint64_t request = 0;
  std::unique_ptr<Context> context;
  std::optional<Generation> answer;
  bool told = false;
};

// A segment whose final text was asked for.
struct ClosingSegment {
  explicit ClosingSegment(SpeechSegment closed) : segment(std::move(closed)) {}

  SpeechSegment segment;
  std::uint64_t request = 0;
  std::optional<Generation> answer;
  bool told = false;
  std::vector<TranslationRequest> translations;
};

}  // namespace captiond
