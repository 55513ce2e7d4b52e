#pragma once

#include <atomic>
#include <cstdint>

namespace captiond {

// What one captioner has done since it started. The captioner's thread counts, any thread reads.
struct CaptionCounters {
  std::atomic<std::uint64_t> segments = 0;          // speech segments that got a final text
  std::atomic<std::uint64_t> partials = 0;          // hypotheses decoded, told or not
  std::atomic<std::uint64_t> partials_skipped = 0;  // due, but the engine was behind or out of KV
  std::atomic<std::uint64_t> tokens = 0;            // generated, of all kinds of text
  std::atomic<std::uint64_t> draft_accepted = 0;    // of them, verified instead of decoded
  std::atomic<std::uint64_t> truncated = 0;         // finals, translations, scenes at their bound
  std::atomic<std::uint64_t> blips = 0;             // speech shorter than min-speech, left out
  std::atomic<std::uint64_t> translations = 0;
  std::atomic<std::uint64_t> scenes = 0;
  std::atomic<std::uint64_t> scenes_skipped = 0;  // due, but the engine was behind
  std::atomic<std::uint64_t> dropped = 0;         // patches of audio given up unheard
};

}  // namespace captiond
