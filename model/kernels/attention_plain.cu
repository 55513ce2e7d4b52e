// Attention in plain loops: a block a row and query head, a chunk of keys at a time, everything in
// float32. Slow and for any head dim.

#include <cmath>
#include <cstddef>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreads = 128;  // and keys of a chunk
constexpr int kDimMax = 512;

struct Chunk {
  float most;   // of the scores so far
  float total;  // of the weights so far
};

// The greatest (or the sum) of one value a thread, in every thread.
template <typename Join>
__device__ float joined(float value, Join join, float* scratch) {
  __syncthreads();
  scratch[threadIdx.x] = value;
  for (unsigned width = kThreads / 2; width > 0; width /= 2) {
    __syncthreads();
    if (threadIdx.x < width) {
      scratch[threadIdx.x] = join(scratch[threadIdx.x], scratch[threadIdx.x + width]);
    }
  }
  __syncthreads();
  return scratch[0];
}

__device__ float dot(const float* query, const __nv_bfloat16* key, int dim) {
  float sum = 0.0F;
  for (int i = 0; i < dim; ++i) sum += query[i] * __bfloat162float(key[i]);
  return sum;
}

__global__ void __launch_bounds__(kThreads) attend_plain_kernel(const Attention work) {
  __shared__ float query[kDimMax];
  __shared__ float weights[kThreads];
  __shared__ float scratch[kThreads];
  const int dim = work.kv.head_dim;
  const int thread = static_cast<int>(threadIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const KvRow row = work.rows[blockIdx.x];
  const std::size_t at = (static_cast<std::size_t>(blockIdx.x) * work.heads + head) * dim;
  const KvSource keys = keys_of(work, row, head / (work.heads / work.kv.kv_heads));
  const KvSource values = values_of(keys);
  const auto line = [&](const KvSource& source, int position) {
    return source.base + source.pages[position / kKvPagePositions] * source.page_values +
           static_cast<std::size_t>(position % kKvPagePositions) * dim;
  };

  for (int i = thread; i < dim; i += kThreads) query[i] = __bfloat162float(work.query[at + i]);
  float sum[kDimMax / kThreads] = {};
  Chunk seen = {-INFINITY, 0.0F};
  const int end = row.position < 0 ? 0 : row.end_key;
  for (int first = row.first_key; first < end; first += kThreads) {
    __syncthreads();
    const int key = first + thread;
    const float score = key < end ? dot(query, line(keys, key), dim) : -INFINITY;
    const float most =
        fmaxf(seen.most, joined(
                             score, [](float a, float b) { return fmaxf(a, b); }, scratch));
    const float rescale = weight_of(seen.most, most);
    weights[thread] = weight_of(score, most);
    const float total = joined(
        weights[thread], [](float a, float b) { return a + b; }, scratch);
    seen = {most, seen.total * rescale + total};
    for (int i = 0; thread + i * kThreads < dim; ++i) {
      sum[i] *= rescale;
      for (int k = 0; k < kThreads && first + k < end; ++k) {
        sum[i] += weights[k] * __bfloat162float(line(values, first + k)[thread + i * kThreads]);
      }
    }
  }
  for (int i = 0; thread + i * kThreads < dim; ++i) {
    work.out[at + thread + i * kThreads] = __float2bfloat16(sum[i] * share_of(seen.total));
  }
}

}  // namespace

cudaError_t attend_plain(const Attention& work, int count, cudaStream_t stream) noexcept {
  const int dim = work.kv.head_dim;
  const bool complete = work.query != nullptr && work.out != nullptr && work.kv.base != nullptr &&
                        work.rows != nullptr && work.pages != nullptr;
  const bool shaped = dim > 0 && dim % 2 == 0 && dim <= kDimMax && work.kv.kv_heads > 0 &&
                      work.heads > 0 && work.heads % work.kv.kv_heads == 0 && count > 0;
  if (!complete || !shaped) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(work.heads));
  attend_plain_kernel<<<grid, kThreads, 0, stream>>>(work);
  return cudaGetLastError();
}

}  // namespace captiond::kernels
