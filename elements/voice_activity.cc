#include "elements/voice_activity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace captiond {
namespace {

constexpr std::size_t kFloorPatches = patches_covering(std::chrono::seconds(3));
constexpr double kAssumedFloorDb = -60;
constexpr double kSilenceDb = -90;  // stands for everything below, digital silence included
constexpr double kSpeechDbMin = -55;
constexpr double kOnsetDb = 10;
constexpr double kReleaseDb = 6;

double level_db(const AudioPatch& patch) {
  const double power = mean_square(patch);
  if (!(power > 0)) return kSilenceDb;
  return std::max(kSilenceDb, 10 * std::log10(power));
}

}  // namespace

EnergyDetector::EnergyDetector() : levels_db_(kFloorPatches, kAssumedFloorDb) {}

bool EnergyDetector::hear(const AudioPatch& patch) {
  const double level = level_db(patch);
  levels_db_.pop_front();
  levels_db_.push_back(level);
  const double floor = *std::min_element(levels_db_.begin(), levels_db_.end());
  const double threshold = floor + (voice_ ? kReleaseDb : kOnsetDb);
  voice_ = level >= std::max(threshold, kSpeechDbMin);
  return voice_;
}

bool VoiceActivity::hear(const AudioPatch& patch) {
  if (patch.voice_change) {
    upstream_speaks_ = true;
    upstream_voice_ = *patch.voice_change;
  }
  switch (mode_) {
    case VoiceActivityMode::kNone:
      return true;
    case VoiceActivityMode::kMeta:
      return upstream_voice_;
    case VoiceActivityMode::kEnergy:
      return energy_.hear(patch);
    case VoiceActivityMode::kAuto:
      break;
  }
  return upstream_speaks_ ? upstream_voice_ : energy_.hear(patch);
}

std::string_view VoiceActivity::source() const {
  if (mode_ == VoiceActivityMode::kNone) return "none";
  if (mode_ == VoiceActivityMode::kMeta) return "meta";
  return mode_ == VoiceActivityMode::kAuto && upstream_speaks_ ? "meta" : "energy";
}

}  // namespace captiond
