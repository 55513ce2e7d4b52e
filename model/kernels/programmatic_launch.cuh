#pragma once

#include <cuda_runtime.h>

// Programmatic dependent launch: a kernel may start while the one before it in the stream still
// runs, do what does not depend on it (fetch weights), and wait. Whoever launches with launch()
// below calls wait_for_previous_kernels() before it reads or writes any activation, in every
// thread that does; so a kernel that has passed its wait knows that all work enqueued earlier is
// done and visible.
namespace captiond::kernels {

// Returns when all kernels enqueued before this one have ended and their writes can be read.
__device__ __forceinline__ void wait_for_previous_kernels() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// Lets the next kernel of the stream start as soon as every block of this one has said so (or has
// ended) and there is room for it.
__device__ __forceinline__ void let_next_kernel_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  std::size_t shared_bytes = 0;
  unsigned cluster = 1;  // blocks of a cluster, which divide `blocks`
};

// Lets `kernel` use as much shared memory as `shape` says. Returns the status.
template <class... Parameters>
[[nodiscard]] cudaError_t allow_shared_bytes(void (*kernel)(Parameters...),
                                             const LaunchShape& shape) noexcept {
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (shape.shared_bytes <= kWithoutAsking) return cudaSuccess;
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                              cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shape.shared_bytes));
}

// The configuration of a launch; points into itself.
struct LaunchConfig {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config{};

  LaunchConfig(const LaunchShape& shape, cudaStream_t stream) {
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {shape.cluster, 1, 1};
    config.gridDim = shape.blocks;
    config.blockDim = shape.threads;
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = shape.cluster > 1 ? 2 : 1;
  }
  LaunchConfig(const LaunchConfig&) = delete;
  LaunchConfig& operator=(const LaunchConfig&) = delete;
};

// Of the current device. Returns the status.
[[nodiscard]] inline cudaError_t multiprocessors_of_device(int& count) noexcept {
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  if (status != cudaSuccess) return status;
  return cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
}

// How many clusters of `shape` the device runs at the same time. Returns the status.
template <class... Parameters>
[[nodiscard]] cudaError_t clusters_at_once(void (*kernel)(Parameters...), const LaunchShape& shape,
                                           int& count) noexcept {
  const cudaError_t status = allow_shared_bytes(kernel, shape);
  if (status != cudaSuccess) return status;
  if (shape.cluster > 1) {
    LaunchConfig launch(shape, nullptr);
    return cudaOccupancyMaxActiveClusters(&count, kernel, &launch.config);
  }
  // Of launches without clusters that says 0.
  int multiprocessors = 0;
  cudaError_t asked = multiprocessors_of_device(multiprocessors);
  if (asked == cudaSuccess)
    asked = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
        &count, kernel, static_cast<int>(shape.threads.x * shape.threads.y * shape.threads.z),
        shape.shared_bytes);
  count *= multiprocessors;
  return asked;
}

// Enqueues `kernel` so that it may start before its predecessor ends. Returns the launch status.
template <class... Parameters, class... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape,
                                 cudaStream_t stream, Arguments... arguments) noexcept {
  const cudaError_t status = allow_shared_bytes(kernel, shape);
  if (status != cudaSuccess) return status;
  LaunchConfig launch(shape, stream);
  return cudaLaunchKernelEx(&launch.config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace captiond::kernels
