// Attention in plain loops: a block a row and query head, a chunk of keys at a time, everything in
// float32. Slow and for any head dim.

#include <cmath>
#include <cstddef>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/fp8_values.cuh"

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

// One KV head's keys and values as bf16 pages hold them.
class Bf16Head {
 public:
  __device__ Bf16Head(const Attention& work, const KvRow& row, int kv_head)
      : keys_(keys_of(work, row, kv_head)), dim_(work.kv.head_dim) {}
  __device__ float key(int position, int dim) const { return at(keys_, position, dim); }
  __device__ float value(int position, int dim) const {
    return at(values_of(keys_), position, dim);
  }

 private:
  __device__ float at(const KvSource& source, int position, int dim) const {
    return __bfloat162float(
        source.base[source.pages[position / kKvPagePositions] * source.page_values +
                    static_cast<std::size_t>(position % kKvPagePositions) * dim_ + dim]);
  }
  const KvSource keys_;
  const int dim_;
};

// And as fp8 pages do.
class Fp8Head {
 public:
  __device__ Fp8Head(const Attention& work, const KvRow& row, int kv_head)
      : kv_(work.kv), pages_(work.pages + row.page_begin), kv_head_(kv_head) {}
  __device__ float key(int position, int dim) const {
    return at(position, 0, fp8_key_offset(position % kKvPagePositions, dim, kv_.head_dim)) /
           kv_.key_scale;
  }
  __device__ float value(int position, int dim) const {
    return at(position, 1, fp8_value_offset(position % kKvPagePositions, dim)) / kFp8ValueScale;
  }

 private:
  __device__ float at(int position, int half, int offset) const {
    const auto* page = static_cast<const unsigned char*>(kv_.base) +
                       pages_[position / kKvPagePositions] * kv_.page_bytes();
    return fp8::widened(page[(kv_head_ * 2 + half) * kv_.fp8_half_bytes() + offset]).x;
  }
  const KvLayer& kv_;
  const int* pages_;
  const int kv_head_;
};

template <class Head>
__global__ void __launch_bounds__(kThreads) attend_plain_kernel(const Attention work) {
  __shared__ float query[kDimMax];
  __shared__ float weights[kThreads];
  __shared__ float scratch[kThreads];
  const int dim = work.kv.head_dim;
  const int thread = static_cast<int>(threadIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const KvRow row = work.rows[blockIdx.x];
  const std::size_t at = (static_cast<std::size_t>(blockIdx.x) * work.heads + head) * dim;
  const Head kv(work, row, head / (work.heads / work.kv.kv_heads));
  const auto dot = [&](int position) {
    float product = 0.0F;
    for (int i = 0; i < dim; ++i) product += query[i] * kv.key(position, i);
    return product;
  };

  for (int i = thread; i < dim; i += kThreads) query[i] = __bfloat162float(work.query[at + i]);
  float sum[kDimMax / kThreads] = {};
  Chunk seen = {-INFINITY, 0.0F};
  const int end = row.position < 0 ? 0 : row.end_key;
  for (int first = row.first_key; first < end; first += kThreads) {
    __syncthreads();
    const int key = first + thread;
    const float score = key < end ? dot(key) : -INFINITY;
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
        sum[i] += weights[k] * kv.value(first + k, thread + i * kThreads);
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
  if (work.kv.format == KvFormat::kFp8) {
    attend_plain_kernel<Fp8Head><<<grid, kThreads, 0, stream>>>(work);
  } else {
    attend_plain_kernel<Bf16Head><<<grid, kThreads, 0, stream>>>(work);
  }
  return cudaGetLastError();
}

}  // namespace captiond::kernels
