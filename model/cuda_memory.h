#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// CUDA's own types stay out of this header, so that builds without a toolkit can read it.
namespace captiond {

// What the chosen GPU offers. Throws std::runtime_error, one sentence, when there is none or when
// it is older than the kernels are built for (compute capability 9.0).
struct CudaDevice {
  std::string name;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  int multiprocessors = 0;
};
CudaDevice cuda_device();

// Uninitialised memory of the GPU, from construction to destruction; empty when default-made or
// moved from. Aligned to 256 bytes.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  // Throws std::runtime_error naming `purpose`, the bytes asked for and the bytes free.
  DeviceMemory(std::size_t bytes, std::string_view purpose);
  // Of zeros, for every stream.
  static DeviceMemory zeroed(std::size_t bytes, std::string_view purpose);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// The same for memory of the host that the GPU copies from and to without a detour.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(std::size_t bytes, std::string_view purpose);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept;
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace captiond
