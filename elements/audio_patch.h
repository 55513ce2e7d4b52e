#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

#include "elements/caption_event.h"
#include "model/audio_patches.h"

namespace captiond {

// Duration of one patch: 640 samples at 16 kHz.
inline constexpr StreamTime kPatchDuration = std::chrono::milliseconds(40);

// How many whole patches cover `duration`: rounded up, >= 0.
constexpr std::size_t patches_covering(StreamTime duration) {
  if (duration <= StreamTime::zero()) return 0;
  return static_cast<std::size_t>((duration + kPatchDuration - StreamTime(1)) / kPatchDuration);
}

constexpr StreamTime duration_of(std::size_t patches) {
  return static_cast<StreamTime::rep>(patches) * kPatchDuration;
}

// One patch as it comes from upstream: mono float32, full scale 1.0.
struct AudioPatch {
  StreamTime start{};
  std::optional<bool> voice_change;  // speech starts (true) or ends (false) in this patch
  std::array<float, AudioPatches::kSamplesPerPatch> samples{};
};

// The mean square of the samples, full scale 1.0: a sine of full scale has 0.5. Never negative.
double mean_square(const AudioPatch& patch) noexcept;

}  // namespace captiond
