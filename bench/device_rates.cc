#include "bench/device_rates.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include "bench/device_stream.h"
#include "model/kernels/cuda_error.h"

namespace captiond {
namespace {

constexpr int kPasses = 10;
constexpr std::int64_t kSide = 8192;
constexpr std::size_t kBytes = std::size_t{4} << 30;

// Best of the passes, on the default stream that libtorch uses.
double seconds_of(const std::function<void()>& body) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  kernels::check_cuda(cudaEventCreate(&begin), "Making an event");
  kernels::check_cuda(cudaEventCreate(&end), "Making an event");
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    kernels::check_cuda(cudaEventRecord(begin, nullptr), "Recording an event");
    body();
    kernels::check_cuda(cudaEventRecord(end, nullptr), "Recording an event");
    kernels::check_cuda(cudaEventSynchronize(end), "Measuring the GPU");
    float milliseconds = 0;
    kernels::check_cuda(cudaEventElapsedTime(&milliseconds, begin, end), "Measuring the GPU");
    best = std::min(best, static_cast<double>(milliseconds) / 1e3);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return best;
}

void measure_memory(DeviceRates& rates) {
  const auto bytes = at::TensorOptions(at::kCUDA).dtype(at::kByte);
  const at::Tensor data = at::empty({static_cast<std::int64_t>(kBytes)}, bytes);
  const at::Tensor sums = at::empty({4096}, bytes.dtype(at::kInt));
  auto* begin = static_cast<std::byte*>(data.data_ptr());
  kernels::check_cuda(fill_random(begin, kBytes, 1, nullptr), "Filling memory");
  rates.read_bytes_per_s = static_cast<double>(kBytes) / seconds_of([&] {
                             auto* sum = static_cast<std::uint32_t*>(sums.data_ptr());
                             kernels::check_cuda(read_all(begin, kBytes, sum, nullptr), "Reading");
                           });
  rates.copy_bytes_per_s =
      static_cast<double>(kBytes) / seconds_of([&] {
        kernels::check_cuda(cudaMemcpyAsync(begin + kBytes / 2, begin, kBytes / 2,
                                            cudaMemcpyDeviceToDevice, nullptr),
                            "Copying");
      });
}

void measure_products(DeviceRates& rates) {
  const auto options = at::TensorOptions(at::kCUDA).dtype(at::kBFloat16);
  const at::Tensor a = at::randn({kSide, kSide}, options);
  const at::Tensor b = at::randn({kSide, kSide}, options);
  at::Tensor c = at::empty({kSide, kSide}, options);
  rates.multiply_adds_per_s =
      static_cast<double>(kSide) * kSide * kSide / seconds_of([&] { at::mm_out(c, a, b); });
  const at::Tensor a8 = a.to(at::kFloat8_e4m3fn);
  const at::Tensor b8 = b.to(at::kFloat8_e4m3fn).t();
  const at::Tensor one = at::ones({}, options.dtype(at::kFloat));
  rates.fp8_multiply_adds_per_s =
      static_cast<double>(kSide) * kSide * kSide / seconds_of([&] {
        at::_scaled_mm_out(c, a8, b8, one, one, {}, {}, at::kBFloat16, /*use_fast_accum=*/true);
      });
}

}  // namespace

DeviceRates device_rates() {
  DeviceRates rates;
  measure_memory(rates);
  measure_products(rates);
  c10::cuda::CUDACachingAllocator::emptyCache();  // what is measured next wants the memory
  return rates;
}

std::size_t device_free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  kernels::check_cuda(cudaMemGetInfo(&free, &total), "Asking for the GPU's memory");
  return free;
}

}  // namespace captiond
