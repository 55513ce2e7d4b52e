#include "model/cuda_memory.h"

#include <cstdio>
#include <stdexcept>
#include <utility>

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"

namespace captiond {
namespace {

std::string gigabytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace

CudaDevice cuda_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    throw std::runtime_error(
        std::string("The device cuda was asked for, but this machine offers no GPU (") +
        (status == cudaSuccess ? "none found" : cudaGetErrorString(status)) +
        "); use the device cpu.");
  }
  int index = 0;
  kernels::check_cuda(cudaGetDevice(&index), "Choosing a GPU");
  cudaDeviceProp properties;
  kernels::check_cuda(cudaGetDeviceProperties(&properties, index),
                      "Asking for the GPU's properties");
  if (properties.major != 9) {
    throw std::runtime_error("The GPU " + std::string(properties.name) +
                             " has compute capability " + std::to_string(properties.major) + "." +
                             std::to_string(properties.minor) +
                             ", but the kernels are built for 9.0 (H100, H200); use the device "
                             "cpu.");
  }
  CudaDevice device{.name = properties.name,
                    .free_bytes = 0,
                    .total_bytes = 0,
                    .multiprocessors = properties.multiProcessorCount};
  kernels::check_cuda(cudaMemGetInfo(&device.free_bytes, &device.total_bytes),
                      "Asking for the GPU's memory");
  return device;
}

DeviceMemory::DeviceMemory(std::size_t bytes, std::string_view purpose) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the context goes on
    std::size_t free = 0;
    std::size_t total = 0;
    kernels::check_cuda(cudaMemGetInfo(&free, &total), "Asking for the GPU's memory");
    throw std::runtime_error("The GPU has " + gigabytes(free) + " of " + gigabytes(total) +
                             " free, but " + std::string(purpose) + " need " + gigabytes(bytes) +
                             "; lower kv_positions or use another GPU.");
  }
  kernels::check_cuda(status, "Allocating memory");
  data_ = static_cast<std::byte*>(data);
}

DeviceMemory DeviceMemory::zeroed(std::size_t bytes, std::string_view purpose) {
  DeviceMemory memory(bytes, purpose);
  const std::string what = "Clearing memory for " + std::string(purpose);
  kernels::check_cuda(cudaMemset(memory.data_, 0, bytes), what);
  // Streams do not wait for the default one, which clears.
  kernels::check_cuda(cudaDeviceSynchronize(), what);
  return memory;
}

DeviceMemory::~DeviceMemory() {
  // After a failure of the context there is nothing left to free, and a destructor cannot say so.
  if (data_ != nullptr) cudaFree(data_);
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PinnedMemory::PinnedMemory(std::size_t bytes, std::string_view purpose) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t status = cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw std::runtime_error("This machine refuses " + gigabytes(bytes) + " of pinned memory for " +
                             std::string(purpose) + "; raise its limit of locked memory.");
  }
  kernels::check_cuda(status, "Allocating pinned memory");
  data_ = static_cast<std::byte*>(data);
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace captiond
