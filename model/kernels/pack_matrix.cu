// Quantising a matrix on the device, and back. One block a row: the scale first, then 16 bytes a
// thread. A row or group with a value that is not finite gets the scale NaN, so that nobody
// mistakes what comes out of it for a number.

#include <cstdint>

#include <cuda_fp8.h>

#include "model/kernels/pack_matrix.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/weight_format.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreads = 256;

struct PackArguments {
  const __nv_bfloat16* source;
  char* values;
  char* scales;
  int in;
};

// What the formats with a scale a row have of their own.
struct Int8Pack {
  using Weights = Int8Weights;
  static constexpr float kLargest = 127.0F;
  static __device__ constexpr int weight_at(int byte) {
    return byte == 1 ? 2 : byte == 2 ? 1 : byte;
  }
  static __device__ std::uint32_t byte_of(float value) {
    const float whole = fminf(fmaxf(rintf(value), -kLargest), kLargest);
    return static_cast<std::uint32_t>(static_cast<int>(whole)) & 0xffU;
  }
};
struct Fp8Pack {
  using Weights = Fp8Weights;
  static constexpr float kLargest = 448.0F;
  static __device__ constexpr int weight_at(int byte) {
    return byte % 2 == 1 ? byte / 2 : 2 + byte / 2;
  }
  static __device__ std::uint32_t byte_of(float value) {
    return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
  }
};

__device__ float quiet_nan() { return __int_as_float(0x7fffffff); }

struct alignas(16) Eight {
  __nv_bfloat16 value[8];
};

// The scale of the block's row: max |row| / largest, 1 for zeros, NaN where a value is not finite.
__device__ float row_scale(const Eight* row, int eights, float largest) {
  __shared__ float best[kThreads];
  float most = 0.0F;
  for (int i = threadIdx.x; i < eights; i += kThreads) {
    const Eight part = row[i];
#pragma unroll
    for (const __nv_bfloat16 value : part.value) {
      const float size = fabsf(__bfloat162float(value));
      most = isfinite(size) && isfinite(most) ? fmaxf(most, size) : quiet_nan();
    }
  }
  best[threadIdx.x] = most;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      const float a = best[threadIdx.x], b = best[threadIdx.x + half];
      best[threadIdx.x] = isnan(a) || isnan(b) ? quiet_nan() : fmaxf(a, b);
    }
    __syncthreads();
  }
  const float scale = best[0] / largest;
  return scale == 0.0F ? 1.0F : scale;
}

template <class Pack>
__global__ void __launch_bounds__(kThreads) pack_rows_kernel(const PackArguments matrix) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  using Weights = typename Pack::Weights;
  const std::size_t row = blockIdx.x;
  const auto* source = reinterpret_cast<const Eight*>(matrix.source + row * matrix.in);
  const int eights = matrix.in / 8;
  const float scale = row_scale(source, eights, Pack::kLargest);
  if (threadIdx.x == 0) reinterpret_cast<float*>(matrix.scales)[row] = scale;
  const int chunks = static_cast<int>(row_bytes<Weights>(matrix.in) / sizeof(uint4));
  auto* target = reinterpret_cast<uint4*>(matrix.values) + row * chunks;
  for (int chunk = threadIdx.x; chunk < chunks; chunk += kThreads) {
    std::uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (chunk * 2 + half >= eights) break;
      const Eight part = source[chunk * 2 + half];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float value = __bfloat162float(part.value[i / 4 * 4 + Pack::weight_at(i % 4)]);
        words[half * 2 + i / 4] |= Pack::byte_of(value / scale) << (i % 4 * 8);
      }
    }
    target[chunk] = {words[0], words[1], words[2], words[3]};
  }
}

// The scale of 32 values so that the one of largest magnitude becomes -8.
__device__ float group_scale(const __nv_bfloat16* group) {
  float extreme = 0.0F;
  for (int i = 0; i < 32; ++i) {
    const float value = __bfloat162float(group[i]);
    if (!isfinite(value)) return quiet_nan();
    if (fabsf(value) > fabsf(extreme)) extreme = value;
  }
  const float scale = __bfloat162float(__float2bfloat16(extreme / -8.0F));
  return scale == 0.0F ? 1.0F : scale;
}

__host__ __device__ constexpr int scales_in_row(int in) {
  return static_cast<int>(group_scale_bytes(in) / sizeof(__nv_bfloat16));
}

// One thread a group: eight weights of it stand in each of four chunks.
__global__ void __launch_bounds__(kThreads) pack_groups_kernel(const PackArguments matrix) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x;
  auto* scales = reinterpret_cast<__nv_bfloat16*>(matrix.scales) + row * scales_in_row(matrix.in);
  auto* target =
      reinterpret_cast<std::uint32_t*>(matrix.values + row * row_bytes<Int4Weights>(matrix.in));
  for (int group = threadIdx.x; group < scales_in_row(matrix.in); group += kThreads) {
    const bool inside = group * 32 < matrix.in;
    const __nv_bfloat16* source = matrix.source + row * matrix.in + group * 32;
    const float scale = inside ? group_scale(source) : 0.0F;
    scales[group] = __float2bfloat16(scale);
    if (group / 4 * Int4Weights::kRowUnit >= matrix.in) continue;
    constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
#pragma unroll
    for (int eight = 0; eight < 4; ++eight) {
      std::uint32_t word = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float value = inside ? __bfloat162float(source[eight * 8 + kOrder[i]]) / scale : 0.0F;
        const float whole = fminf(fmaxf(rintf(value), -8.0F), 7.0F);
        word |= (static_cast<std::uint32_t>(static_cast<int>(whole)) & 15U) << (i * 4);
      }
      target[(group / 4 * 4 + eight) * 4 + group % 4] = word;
    }
  }
}

// The eight weights `kEight` of a chunk, if they stand within the row.
template <class Weights, int kEight>
__device__ void unpack_eight(const uint4& packed, int chunk, const void* scales, std::size_t row,
                             __nv_bfloat16* target, int in) {
  const int k = Weights::place(chunk, kEight);
  if (k >= in) return;
  float scale = 0.0F, offset = 0.0F;
  if constexpr (Weights::kGroupScales) {
    scale = __bfloat162float(
        static_cast<const __nv_bfloat16*>(scales)[row * scales_in_row(in) + k / 32]);
    offset = -24.0F;
  } else {
    scale = static_cast<const float*>(scales)[row];
  }
  const WeightPairs pairs = Weights::template eight<kEight>(packed);
  Eight eight;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t pair = pairs.pair[i / 2];
    const float value = __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xffff0000U);
    eight.value[i] = __float2bfloat16((value + offset) * scale);
  }
  *reinterpret_cast<Eight*>(target + row * in + k) = eight;
}

template <class Weights>
__global__ void __launch_bounds__(kThreads)
    unpack_kernel(const char* values, const void* scales, __nv_bfloat16* target, int in) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x;
  const int chunks = static_cast<int>(row_bytes<Weights>(in) / sizeof(uint4));
  const auto* source = reinterpret_cast<const uint4*>(values + row * row_bytes<Weights>(in));
  for (int chunk = threadIdx.x; chunk < chunks; chunk += kThreads) {
    const uint4 packed = source[chunk];
    unpack_eight<Weights, 0>(packed, chunk, scales, row, target, in);
    unpack_eight<Weights, 1>(packed, chunk, scales, row, target, in);
    if constexpr (Weights::kInChunk == 32) {
      unpack_eight<Weights, 2>(packed, chunk, scales, row, target, in);
      unpack_eight<Weights, 3>(packed, chunk, scales, row, target, in);
    }
  }
}

bool packable(const Matrix& m) {
  const int multiple = m.format == MatrixFormat::kInt4 ? 32 : 8;
  return m.format != MatrixFormat::kBf16 && m.values != nullptr && m.scales != nullptr &&
         m.out > 0 && m.in > 0 && m.in % multiple == 0;
}

LaunchShape a_block_a_row(const Matrix& matrix) {
  return {.blocks = dim3(static_cast<unsigned>(matrix.out)), .threads = dim3(kThreads)};
}

}  // namespace

MatrixBytes matrix_bytes(MatrixFormat format, int out, int in) {
  const auto rows = static_cast<std::size_t>(out), columns = static_cast<std::size_t>(in);
  switch (format) {
    case MatrixFormat::kBf16:
      return {.values = rows * columns * sizeof(__nv_bfloat16)};
    case MatrixFormat::kFp8:
    case MatrixFormat::kInt8:
      return {.values = rows * row_bytes<Int8Weights>(in), .scales = rows * sizeof(float)};
    case MatrixFormat::kInt4:
      return {.values = rows * row_bytes<Int4Weights>(in), .scales = rows * group_scale_bytes(in)};
  }
  return {};
}

cudaError_t pack_matrix(const __nv_bfloat16* source, const Matrix& matrix,
                        cudaStream_t stream) noexcept {
  if (source == nullptr || !packable(matrix)) return cudaErrorInvalidValue;
  const PackArguments arguments{.source = source,
                                .values = static_cast<char*>(const_cast<void*>(matrix.values)),
                                .scales = static_cast<char*>(const_cast<void*>(matrix.scales)),
                                .in = matrix.in};
  const LaunchShape shape = a_block_a_row(matrix);
  switch (matrix.format) {
    case MatrixFormat::kFp8:
      return launch(pack_rows_kernel<Fp8Pack>, shape, stream, arguments);
    case MatrixFormat::kInt8:
      return launch(pack_rows_kernel<Int8Pack>, shape, stream, arguments);
    case MatrixFormat::kInt4:
      return launch(pack_groups_kernel, shape, stream, arguments);
    case MatrixFormat::kBf16:
      break;
  }
  return cudaErrorInvalidValue;
}

cudaError_t unpack_matrix(const Matrix& matrix, __nv_bfloat16* target,
                          cudaStream_t stream) noexcept {
  if (target == nullptr || !packable(matrix)) return cudaErrorInvalidValue;
  const auto* values = static_cast<const char*>(matrix.values);
  const LaunchShape shape = a_block_a_row(matrix);
  switch (matrix.format) {
    case MatrixFormat::kFp8:
      return launch(unpack_kernel<Fp8Weights>, shape, stream, values, matrix.scales, target,
                    matrix.in);
    case MatrixFormat::kInt8:
      return launch(unpack_kernel<Int8Weights>, shape, stream, values, matrix.scales, target,
                    matrix.in);
    case MatrixFormat::kInt4:
      return launch(unpack_kernel<Int4Weights>, shape, stream, values, matrix.scales, target,
                    matrix.in);
    case MatrixFormat::kBf16:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace captiond::kernels
