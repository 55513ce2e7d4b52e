#pragma once

#include <cstddef>
#include <vector>

namespace captiond {

// n patches of 640 float32 samples each, mono, 16 kHz, full scale 1.0, in time order: one soft
// token, 40 ms, a patch.
struct AudioPatches {
  static constexpr std::size_t kSamplesPerPatch = 640;
  std::vector<float> samples;  // size is a multiple of kSamplesPerPatch

  std::size_t count() const { return samples.size() / kSamplesPerPatch; }
};

}  // namespace captiond
