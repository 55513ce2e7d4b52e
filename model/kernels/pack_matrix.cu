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

template <class Format>
__host__ __device__ constexpr int chunks_of(int in) {
  return (in + Format::kInChunk - 1) / Format::kInChunk;
}

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
  const int chunks = chunks_of<Weights>(matrix.in);
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

// Scales of a row stand by block of 256 weights, there by lane, two groups a lane: the order in
// which weight_stream.cuh reads them.
__host__ __device__ constexpr int scale_place(int group) {
  return group / 8 * 8 + group % 4 * 2 + group / 4 % 2;
}
__host__ __device__ constexpr int scales_in_row(int in) { return (in + 255) / 256 * 8; }

__global__ void __launch_bounds__(kThreads) pack_groups_kernel(const PackArguments matrix) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x;
  auto* scales = reinterpret_cast<__nv_bfloat16*>(matrix.scales) + row * scales_in_row(matrix.in);
  auto* target = reinterpret_cast<uint4*>(matrix.values) + row * (matrix.in / 32);
  for (int group = threadIdx.x; group < scales_in_row(matrix.in); group += kThreads) {
    if (group >= matrix.in / 32) {
      scales[scale_place(group)] = __float2bfloat16(0.0F);
      continue;
    }
    const __nv_bfloat16* source = matrix.source + row * matrix.in + group * 32;
    const float scale = group_scale(source);
    scales[scale_place(group)] = __float2bfloat16(scale);
    constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    std::uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const float value = __bfloat162float(source[i / 8 * 8 + kOrder[i % 8]]) / scale;
      const float whole = fminf(fmaxf(rintf(value), -8.0F), 7.0F);
      words[i / 8] |= static_cast<std::uint32_t>(static_cast<int>(whole) + 8) << (i % 8 * 4);
    }
    target[group] = {words[0], words[1], words[2], words[3]};
  }
}

template <class Weights, int kEight>
__device__ void unpack_eight(const uint4& chunk, std::uint32_t group_scale, float row_scale,
                             __nv_bfloat16* target) {
  const WeightPairs pairs = Weights::template eight<kEight>(chunk, group_scale);
  uint4 eight{pairs.pair[0], pairs.pair[1], pairs.pair[2], pairs.pair[3]};
  if constexpr (Weights::kRowScales) {
    auto* value = reinterpret_cast<__nv_bfloat16*>(&eight);
#pragma unroll
    for (int i = 0; i < 8; ++i) value[i] = __float2bfloat16(__bfloat162float(value[i]) * row_scale);
  }
  *reinterpret_cast<uint4*>(target) = eight;
}

template <class Weights>
__global__ void __launch_bounds__(kThreads)
    unpack_kernel(const char* values, const void* scales, __nv_bfloat16* target, int in) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x;
  const int chunks = chunks_of<Weights>(in);
  const auto* source = reinterpret_cast<const uint4*>(values) + row * chunks;
  target += row * in;
  for (int chunk = threadIdx.x; chunk < chunks; chunk += kThreads) {
    std::uint32_t group_scale = 0;
    float row_scale = 1.0F;
    if constexpr (Weights::kGroupScales) {
      group_scale =
          static_cast<const std::uint16_t*>(scales)[row * scales_in_row(in) + scale_place(chunk)];
      group_scale |= group_scale << 16;
    } else {
      row_scale = static_cast<const float*>(scales)[row];
    }
    __nv_bfloat16* at = target + chunk * Weights::kInChunk;
    const uint4 packed = source[chunk];
    unpack_eight<Weights, 0>(packed, group_scale, row_scale, at);
    // A row of a multiple of 8 may end in the middle of a chunk.
    if (chunk * Weights::kInChunk + 8 < in)
      unpack_eight<Weights, 1>(packed, group_scale, row_scale, at + 8);
    if constexpr (Weights::kInChunk == 32) {
      unpack_eight<Weights, 2>(packed, group_scale, row_scale, at + 16);
      unpack_eight<Weights, 3>(packed, group_scale, row_scale, at + 24);
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
      return {.values = rows * ((columns + 15) / 16 * 16), .scales = rows * sizeof(float)};
    case MatrixFormat::kInt4:
      return {.values = rows * columns / 2,
              .scales = rows * static_cast<std::size_t>(scales_in_row(in)) * sizeof(__nv_bfloat16)};
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
