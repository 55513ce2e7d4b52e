#include <stdexcept>

#include "bench/device_rates.h"

namespace captiond {

DeviceRates device_rates() {
  throw std::runtime_error(
      "The device cuda was asked for, but this program was built without CUDA; use --device cpu.");
}

}  // namespace captiond
