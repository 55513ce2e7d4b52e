#pragma once

#include <cstddef>

#include "model/dtype.h"
#include "model/engine.h"

namespace captiond {

// What Engine::open hands to a forward pass.
struct ForwardSetting {
  Device device = Device::kCpu;
  Dtype dtype = Dtype::kFloat32;
  WeightFormat weights = WeightFormat::kBf16;
  KvFormat kv = KvFormat::kBf16;
  VisionMask vision_mask = VisionMask::kFullBidirectional;
  std::size_t pages = 0;               // of each KvGroup that the model has layers of
  std::size_t step_rows_max = 0;       // of any step, but for a picture that is alone larger
  std::size_t picture_pixels_max = 0;  // see EngineOptions; kCuda only
  int threads = 0;                     // of one step on the CPU; 0: as many as there are cores
};

}  // namespace captiond
