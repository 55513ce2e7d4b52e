#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/checkpoint.h"
#include "model/forward.h"
#include "model/forward_setting.h"

namespace captiond {

// The forward pass on one NVIDIA GPU in kernels of our own (model/kernels): weights in bfloat16 or
// quantised at load, activations in bfloat16, keys and values in bfloat16 or fp8; float32 sums.
// Steps of up to 256 decode rows run as CUDA graphs. All memory is allocated here; `report`, if not
// empty, is told in one sentence what it is used for.
//
// A result's bits depend on the step that it is computed in: few rows and many go different
// ways (model/kernels/matrix_products.h), as do short slices and long ones.
//
// Throws std::runtime_error, one sentence: no GPU, no CUDA in this build, not enough memory, a
// dtype other than bfloat16, a shape that the kernels do not serve.
std::unique_ptr<Forward> make_cuda_forward(
    const std::shared_ptr<const Checkpoint>& checkpoint, const ForwardSetting& setting,
    const std::function<void(const std::string& sentence)>& report);

}  // namespace captiond
