#pragma once

#include <cstddef>
#include <deque>
#include <string_view>

#include "elements/audio_patch.h"

namespace captiond {

// Where the voice flag of a patch comes from.
enum class VoiceActivityMode {
  kAuto,    // energy until upstream sends its first voice change, from then on upstream alone
  kMeta,    // upstream's voice changes alone; nothing is speech before the first one
  kEnergy,  // the energy detector alone
  kNone,    // every patch is speech
};

// Speech by loudness over an adaptive floor, one patch at a time. The floor is the quietest patch
// of the last 3 s, a stream starting with 3 s of assumed quiet at -60 dBFS, so that a recording
// that begins in the middle of a word is heard from its first patch; steady noise is taken for
// speech for those 3 s at most. A patch is speech from 10 dB over the floor on and stays so down to
// 6 dB over it; below -55 dBFS nothing is speech. Deterministic: depends on the patches alone.
class EnergyDetector {
 public:
  EnergyDetector();
  bool hear(const AudioPatch& patch);

 private:
  std::deque<double> levels_db_;  // of the last 3 s, newest last
  bool voice_ = false;
};

// Says of each patch of one stream whether it holds speech. One owner.
class VoiceActivity {
 public:
  explicit VoiceActivity(VoiceActivityMode mode) : mode_(mode) {}

  // Patches in time order.
  bool hear(const AudioPatch& patch);

  // True once upstream has sent a voice change.
  bool upstream_speaks() const { return upstream_speaks_; }
  // What decides at the moment: "meta", "energy" or "none".
  std::string_view source() const;

 private:
  const VoiceActivityMode mode_;
  EnergyDetector energy_;
  bool upstream_speaks_ = false;
  bool upstream_voice_ = false;
};

}  // namespace captiond
