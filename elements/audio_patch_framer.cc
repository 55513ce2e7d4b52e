#include "elements/audio_patch_framer.h"

#include <algorithm>

namespace captiond {

void AudioPatchFramer::reset(std::chrono::nanoseconds origin) {
  *this = AudioPatchFramer();
  next_ = origin;
}

std::vector<FramedPatch> AudioPatchFramer::push(const AudioBlock& block) {
  std::vector<FramedPatch> patches;
  if (!continues(block)) {
    if (auto rest = drain()) patches.push_back(*rest);
    discontinuity_ = true;
    restart_ = true;
  }
  if (restart_) {
    next_ = block.start.value_or(next_);
    restart_ = false;
  }
  if (block.voice) voice_ = block.voice;
  for (auto rest = block.samples; !rest.empty();) {
    const std::size_t count = std::min(rest.size(), samples_.size() - filled_);
    std::copy_n(rest.begin(), count, samples_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += count;
    next_ += static_cast<std::int64_t>(count) * kSampleDuration;
    rest = rest.subspan(count);
    if (filled_ == samples_.size()) patches.push_back(finish());
  }
  return patches;
}

std::optional<FramedPatch> AudioPatchFramer::drain() {
  restart_ = true;
  if (filled_ == 0) return std::nullopt;
  return finish();
}

std::optional<FramedPatch> AudioPatchFramer::gap(std::chrono::nanoseconds start,
                                                 std::chrono::nanoseconds duration) {
  auto rest = drain();
  next_ = start + duration;
  return rest;
}

bool AudioPatchFramer::continues(const AudioBlock& block) const {
  if (block.discontinuity) return false;
  if (!block.start) return true;
  return std::chrono::abs(*block.start - next_) <= kPatchDuration;
}

// The patch so far, padded; the next one starts empty.
FramedPatch AudioPatchFramer::finish() {
  const auto duration = static_cast<std::int64_t>(filled_) * kSampleDuration;
  FramedPatch patch{.samples = samples_,
                    .start = next_ - duration,
                    .duration = duration,
                    .discontinuity = discontinuity_,
                    .voice = voice_};
  std::fill(patch.samples.begin() + static_cast<std::ptrdiff_t>(filled_), patch.samples.end(),
            0.0F);
  filled_ = 0;
  discontinuity_ = false;
  voice_.reset();
  return patch;
}

}  // namespace captiond
