// What stands for model/cuda_forward.cc in a build without CUDA.
#include <stdexcept>

#include "model/cuda_forward.h"

namespace captiond {

std::unique_ptr<Forward> make_cuda_forward(
    const std::shared_ptr<const Checkpoint>& /*checkpoint*/, const ForwardSetting& /*setting*/,
    const std::function<void(const std::string& sentence)>& /*report*/) {
  throw std::runtime_error(
      "The device cuda was asked for, but captiond was built without CUDA; use the cuda preset or "
      "the device cpu.");
}

}  // namespace captiond
