#pragma once

#include <memory>

#include "model/checkpoint.h"
#include "model/forward.h"
#include "model/forward_setting.h"

namespace captiond {

// The forward pass in ATen operations, for any device: the CPU's own and the oracle of others.
// Weights of the checkpoint's dtype are used where they are mapped, others are converted once.
// Rounding follows reference model.md section 2.6. Throws std::runtime_error when the device or the
// memory is not there.
std::unique_ptr<Forward> make_reference_forward(std::shared_ptr<const Checkpoint> checkpoint,
                                                const ForwardSetting& setting);

}  // namespace captiond
