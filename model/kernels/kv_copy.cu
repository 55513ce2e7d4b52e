// Copies of KV pages. Each thread takes the same 16 bytes of every copy of its layer, one copy
// after another, so that a copy of a copy made in the same step is right.

#include "model/kernels/kv_copy.h"

namespace captiond::kernels {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    copy_kv_pages_kernel(uint4* base, std::size_t page_vectors, std::size_t layer_vectors,
                         const KvPageCopy* copies, int count) {
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= page_vectors) return;
  uint4* layer = base + blockIdx.y * layer_vectors + at;
  for (int i = 0; i < count; ++i) {
    const KvPageCopy copy = copies[i];
    if (copy.from < 0) continue;
    layer[copy.to * page_vectors] = layer[copy.from * page_vectors];
  }
}

}  // namespace

cudaError_t copy_kv_pages(const KvLayer& layer, std::size_t layer_bytes, int layers,
                          const KvPageCopy* copies, int count, cudaStream_t stream) noexcept {
  constexpr std::size_t kVector = sizeof(uint4);
  const std::size_t bytes = layer.page_bytes();
  if (layer.base == nullptr || copies == nullptr || layers <= 0 || count <= 0 || bytes == 0 ||
      bytes % kVector != 0 || layer_bytes % kVector != 0) {
    return cudaErrorInvalidValue;
  }
  const std::size_t vectors = bytes / kVector;
  const dim3 grid(static_cast<unsigned>((vectors + kThreads - 1) / kThreads),
                  static_cast<unsigned>(layers));
  copy_kv_pages_kernel<<<grid, kThreads, 0, stream>>>(static_cast<uint4*>(layer.base), vectors,
                                                      layer_bytes / kVector, copies, count);
  return cudaGetLastError();
}

}  // namespace captiond::kernels
