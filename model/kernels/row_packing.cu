// Packing rows of activations to e4m3: 16 values a thread, which stay in registers between the
// search for the largest and the division by the scale. Of few rows a long one is shared by the
// blocks of a cluster, small enough to start beside a product that still runs.

#include <cstddef>
#include <cstdint>

#include <cuda_fp8.h>

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {
namespace {

constexpr int kHeld = 16;  // values of a thread, 16 bytes once packed
constexpr int kThreadsMax = kPackedRowMax / kHeld;
constexpr int kSharedRowsMax = 256;    // rows that are worth sharing
constexpr int kThreadsOfSharer = 256;  // of a block that has a part of a row
constexpr int kBlocksMax = kThreadsMax / kThreadsOfSharer;
constexpr float kLargest = 448.0F;

struct alignas(16) Eight {
  __nv_bfloat16 value[8];
};

// Values 8 * index … of a row that has no tail.
struct PlainRow {
  const __nv_bfloat16* x;
  __device__ Eight eight(std::size_t row, int in, int index) const {
    return reinterpret_cast<const Eight*>(x + row * in)[index];
  }
};

struct GeluRow {
  const __nv_bfloat16* gate_up;
  __device__ Eight eight(std::size_t row, int inner, int index) const {
    const __nv_bfloat16* const gates = gate_up + row * 2 * inner;
    const Eight gate = reinterpret_cast<const Eight*>(gates)[index];
    const Eight up = reinterpret_cast<const Eight*>(gates + inner)[index];
    Eight product;
#pragma unroll
    for (int i = 0; i < 8; ++i) product.value[i] = gelu_product(gate.value[i], up.value[i]);
    return product;
  }
};

// Sizes as the bits of their floats: so their order is that of numbers, above which stand infinity
// and NaN.
__device__ std::uint32_t size_of(float value) { return __float_as_uint(value) & 0x7fffffffU; }
__device__ float value_of(std::uint32_t size) {
  constexpr std::uint32_t kInfinity = 0x7f800000U;
  return __uint_as_float(size < kInfinity ? size : 0x7fffffffU);
}

// Of all threads of the cluster.
__device__ std::uint32_t largest_of_row(std::uint32_t most, unsigned blocks) {
  __shared__ std::uint32_t of_warp[kThreadsMax / 32];
  __shared__ std::uint32_t of_block[kBlocksMax];
  most = __reduce_max_sync(~0U, most);
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) of_warp[threadIdx.x / 32] = most;
  __syncthreads();
  most = __reduce_max_sync(~0U, lane < blockDim.x / 32 ? of_warp[lane] : 0U);
  if (blocks == 1) return most;
  // Each block tells all, once all have begun: nobody reads another's memory, which may be gone.
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
  if (threadIdx.x < blocks)
    *static_cast<std::uint32_t*>(
        __cluster_map_shared_rank(&of_block[blockIdx.x % blocks], threadIdx.x)) = most;
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;" ::
          : "memory");
  return __reduce_max_sync(~0U, lane < blocks ? of_block[lane] : 0U);
}

// Division by a row's scale, rounded as `/` rounds it. Where nothing can leave float32's range a
// product with the reciprocal and one correction give the same digits (Markstein).
struct Divisor {
  float scale;
  float reciprocal;
  bool plain;

  __device__ explicit Divisor(float by)
      : scale(by), reciprocal(1.0F / by), plain(by > 0x1p-80F && by < 0x1p80F) {}
  template <bool kPlain>
  __device__ float of(float value) const {
    if constexpr (!kPlain) return value / scale;
    const float quotient = value * reciprocal;
    return fmaf(fmaf(-quotient, scale, value), reciprocal, quotient);
  }
};

// Two values to the e4m3 bytes of a half word, `low` in the lower one.
__device__ std::uint32_t two_bytes(float low, float high) {
  return __nv_cvt_float2_to_fp8x2({low, high}, __NV_SATFINITE, __NV_E4M3);
}

// The order within four bytes is that of Fp8Weights: 2, 0, 3, 1.
template <bool kPlain>
__device__ uint4 packed_chunk(const float (&value)[kHeld], const Divisor& by) {
  std::uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float* const four = value + i * 4;
    words[i] = two_bytes(by.of<kPlain>(four[2]), by.of<kPlain>(four[0])) |
               two_bytes(by.of<kPlain>(four[3]), by.of<kPlain>(four[1])) << 16;
  }
  return {words[0], words[1], words[2], words[3]};
}

template <class Source, int kThreads>
__global__ void __launch_bounds__(kThreads)
    pack_rows_kernel(const Source source, int in, unsigned blocks, const PackedRows packed) {
  if (blocks > 1) asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x / blocks;
  const int chunks = (in + kHeld - 1) / kHeld;
  const int chunk = static_cast<int>(blockIdx.x % blocks * blockDim.x + threadIdx.x);
  float value[kHeld] = {};
  std::uint32_t most = 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if ((chunk * 2 + half) * 8 >= in) continue;
    const Eight eight = source.eight(row, in, chunk * 2 + half);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      value[half * 8 + i] = __bfloat162float(eight.value[i]);
      most = max(most, size_of(value[half * 8 + i]));
    }
  }
  float scale = value_of(largest_of_row(most, blocks)) / kLargest;
  if (scale == 0.0F) scale = 1.0F;
  if (chunk == 0) packed.scales[row] = scale;
  if (chunk >= chunks) return;
  const Divisor divisor(scale);
  static_cast<uint4*>(packed.values)[row * chunks + chunk] =
      divisor.plain ? packed_chunk<true>(value, divisor) : packed_chunk<false>(value, divisor);
}

template <class Source>
cudaError_t launch_packing(const Source& source, int in, int rows, const PackedRows& packed,
                           cudaStream_t stream) noexcept {
  if (packed.values == nullptr || packed.scales == nullptr || rows <= 0 || in <= 0 || in % 8 != 0 ||
      in > kPackedRowMax)
    return cudaErrorInvalidValue;
  const int chunks = (in + kHeld - 1) / kHeld;
  const bool shares = rows <= kSharedRowsMax;
  const int blocks = shares ? (chunks + kThreadsOfSharer - 1) / kThreadsOfSharer : 1;
  const int threads = ((chunks + blocks - 1) / blocks + 31) / 32 * 32;
  const LaunchShape shape{.blocks = dim3(static_cast<unsigned>(rows * blocks)),
                          .threads = dim3(static_cast<unsigned>(threads)),
                          .cluster = static_cast<unsigned>(blocks)};
  const auto kernel =
      shares ? pack_rows_kernel<Source, kThreadsOfSharer> : pack_rows_kernel<Source, kThreadsMax>;
  return launch(kernel, shape, stream, source, in, static_cast<unsigned>(blocks), packed);
}

}  // namespace

cudaError_t pack_rows(const __nv_bfloat16* x, int in, int rows, const PackedRows& packed,
                      cudaStream_t stream) noexcept {
  if (x == nullptr) return cudaErrorInvalidValue;
  return launch_packing(PlainRow{x}, in, rows, packed, stream);
}

cudaError_t pack_gelu_product(const __nv_bfloat16* gate_up, int inner, int rows,
                              const PackedRows& packed, cudaStream_t stream) noexcept {
  if (gate_up == nullptr) return cudaErrorInvalidValue;
  return launch_packing(GeluRow{gate_up}, inner, rows, packed, stream);
}

}  // namespace captiond::kernels
