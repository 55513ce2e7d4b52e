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
};

// Enqueues `kernel` so that it may start before its predecessor ends. Returns the launch status.
template <class... Parameters, class... Arguments>
[[nodiscard]] cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape,
                                 cudaStream_t stream, Arguments... arguments) noexcept {
  constexpr std::size_t kSharedWithoutAsking = 48 * 1024;
  if (shape.shared_bytes > kSharedWithoutAsking) {
    const cudaError_t status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                    static_cast<int>(shape.shared_bytes));
    if (status != cudaSuccess) return status;
  }
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace captiond::kernels
