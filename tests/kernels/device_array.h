#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// Throws when a CUDA call of a test fails.
inline void require(cudaError_t status) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string("A CUDA call of the test failed: ") +
                             cudaGetErrorString(status));
  }
}

// Device memory of a test, from construction to destruction.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::size_t count) : count_(count) {
    require(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
    require(cudaMemset(data_, 0, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    upload(values);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(DeviceArray&& other) noexcept : data_(other.data_), count_(other.count_) {
    other.data_ = nullptr;
    other.count_ = 0;
  }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  void upload(const std::vector<T>& values) {
    if (values.size() != count_) throw std::logic_error("The array has another size.");
    require(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  // Waits for what was enqueued before.
  std::vector<T> download() const {
    std::vector<T> values(count_);
    require(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

// Normally distributed around `mean`, rounded to bf16; the same for the same seed.
inline std::vector<__nv_bfloat16> random_bf16(std::size_t count, unsigned seed, float deviation,
                                              float mean = 0.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<__nv_bfloat16> values(count);
  for (__nv_bfloat16& value : values) value = __float2bfloat16(normal(generator));
  return values;
}

inline double wide(__nv_bfloat16 value) { return static_cast<double>(__bfloat162float(value)); }
inline double rounded_bf16(double value) {
  return wide(__float2bfloat16(static_cast<float>(value)));
}

inline std::uint16_t bits(__nv_bfloat16 value) { return static_cast<__nv_bfloat16_raw>(value).x; }
inline bool same_bits(const std::vector<__nv_bfloat16>& a, const std::vector<__nv_bfloat16>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (bits(a[i]) != bits(b[i])) return false;
  }
  return true;
}

// The greatest relative error of one rounding to bf16, which has 8 significant bits.
inline constexpr double kHalfUlp = 1.0 / 256;

}  // namespace captiond::kernels
