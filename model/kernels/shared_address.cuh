#pragma once

namespace captiond::kernels {

// Of a pointer into shared memory, as PTX instructions take it.
__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

}  // namespace captiond::kernels
