#include <stdexcept>

#include "bench/device_rates.h"

namespace captiond {

DeviceRates device_rates() {
  throw std::runtime_error(
      "The device cuda was asked for, but this program was built without CUDA; use --device cpu.");
}

std::size_t device_free_bytes() { return 0; }

}  // namespace captiond
