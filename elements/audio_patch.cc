#include "elements/audio_patch.h"

namespace captiond {

double mean_square(const AudioPatch& patch) noexcept {
  double sum = 0;
  for (const float sample : patch.samples) sum += double{sample} * double{sample};
  return sum / static_cast<double>(patch.samples.size());
}

}  // namespace captiond
