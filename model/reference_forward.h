#pragma once

#include <cstddef>
#include <memory>

#include "model/checkpoint.h"
#include "model/engine.h"
#include "model/forward.h"

namespace captiond {

// What Engine::open hands to a forward pass.
struct ForwardSetting {
  Device device = Device::kCpu;
  Dtype dtype = Dtype::kFloat32;
  VisionMask vision_mask = VisionMask::kFullBidirectional;
  std::size_t pages = 0;  // of each KvGroup that the model has layers of
  int threads = 0;        // of one step on the CPU; 0: as many as there are cores
};

// The forward pass in ATen operations, for any device: the CPU's own and the oracle of others.
// Weights of the checkpoint's dtype are used where they are mapped, others are converted once.
// Rounding follows reference model.md section 2.6. Throws std::runtime_error when the device or the
// memory is not there.
std::unique_ptr<Forward> make_reference_forward(std::shared_ptr<const Checkpoint> checkpoint,
                                                const ForwardSetting& setting);

}  // namespace captiond
