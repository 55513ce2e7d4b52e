#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "model/audio_patches.h"

namespace captiond {

// Speech started or ended, as voice activity detection says it.
struct VoiceChange {
  bool active = false;
  unsigned level = 0;  // as in GstAudioLevelMeta: -dBov, 0 (loudest) to 127

  bool operator==(const VoiceChange&) const = default;
};

// What comes in: some samples that follow each other, 16 kHz, mono, full scale 1.0.
struct AudioBlock {
  std::span<const float> samples{};
  std::optional<std::chrono::nanoseconds> start{};  // of the first sample; none: follows the last
  bool discontinuity = false;                       // samples were lost before this block
  std::optional<VoiceChange> voice{};               // at the first sample
};

// What goes out: one patch.
struct FramedPatch {
  std::array<float, AudioPatches::kSamplesPerPatch> samples{};  // zeros after the last sample known
  std::chrono::nanoseconds start{0};
  std::chrono::nanoseconds duration{0};  // of the sound: less than 40 ms in a patch that was padded
  bool discontinuity = false;            // something is missing before, or the time base is new
  std::optional<VoiceChange> voice;      // the last change inside this patch
};

// Cuts blocks of any size into patches of 640 samples. Times are counted in samples from the start
// of the time base, so they do not depend on how the input is cut and do not drift; a sample is
// exactly 62500 ns long. The time base starts anew where a block says so or lies further than one
// patch away from where the count is; the incomplete patch before it is then padded with zeros.
// One thread at a time.
class AudioPatchFramer {
 public:
  static constexpr std::chrono::nanoseconds kSampleDuration{62500};
  static constexpr std::chrono::nanoseconds kPatchDuration{40'000'000};

  // Forgets everything. `origin` is the time of the next sample if its block does not say.
  void reset(std::chrono::nanoseconds origin);

  // The patches that `block` completes, in order.
  std::vector<FramedPatch> push(const AudioBlock& block);

  // The incomplete patch, padded with zeros; nullopt if no sample is waiting. The next block
  // starts a patch at exactly the time it says.
  std::optional<FramedPatch> drain();

  // As drain(), before a stretch of known silence: what follows it is no discontinuity.
  std::optional<FramedPatch> gap(std::chrono::nanoseconds start, std::chrono::nanoseconds duration);

 private:
  bool continues(const AudioBlock& block) const;
  FramedPatch finish();

  std::array<float, AudioPatches::kSamplesPerPatch> samples_{};  // of the incomplete patch
  std::size_t filled_ = 0;                                       // of samples_
  std::chrono::nanoseconds next_{0};                             // time of the next sample
  bool restart_ = true;        // the next block's own time is taken, not the count
  bool discontinuity_ = true;  // of the incomplete patch
  std::optional<VoiceChange> voice_;
};

}  // namespace captiond
