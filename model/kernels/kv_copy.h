#pragma once

#include <cstddef>

#include <cuda_runtime_api.h>

#include "model/kernels/kv_layer.h"

namespace captiond::kernels {

struct KvPageCopy {
  int from = 0;
  int to = 0;
};

// Pages of one group, all its layers: page `from` is copied to page `to`, one copy after another.
//   layer      the first layer's pages; those of the next begin `layer_bytes` bytes later
//   copies     [count], device; from -1: padding
// Enqueues and returns; cudaErrorInvalidValue for a bad shape (page_bytes() no multiple of 16).
[[nodiscard]] cudaError_t copy_kv_pages(const KvLayer& layer, std::size_t layer_bytes, int layers,
                                        const KvPageCopy* copies, int count,
                                        cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
