#include "model/kernels/kv_layer.h"

#include <cmath>

namespace captiond::kernels {

float fp8_scale(float weight_max, int head_dim) {
  constexpr float kGreatest = 448.0F;
  constexpr float kRoundings = 1.03F;
  if (weight_max == 0.0F) return 1.0F;
  const float bound = kRoundings * std::sqrt(static_cast<float>(head_dim)) * weight_max;
  return std::exp2(std::floor(std::log2(kGreatest / bound)));
}

}  // namespace captiond::kernels
