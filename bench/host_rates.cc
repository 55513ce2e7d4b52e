#include <thread>

#include "bench/device_rates.h"
#include "bench/matrix_rate.h"
#include "bench/memory_bandwidth.h"

namespace captiond {

DeviceRates host_rates(int threads) {
  if (threads == 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  DeviceRates rates;
  rates.read_bytes_per_s = read_bandwidth_bytes_per_s(threads);
  rates.multiply_adds_per_s = matrix_multiply_adds_per_s(threads);
  return rates;
}

}  // namespace captiond
