// The kernels of norm.cu with the packing of row_packing.cu in their tail, where the row stands in
// registers: a block a row, eight values a thread.

#include <cstdint>

#include "model/kernels/norm_packing.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/residual_row.cuh"
#include "model/kernels/row_packing.cuh"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreadsMax = kNormWidthMax / kLane;
constexpr int kThreadsOfMost = 512;  // of rows of up to 4,096, three to a multiprocessor

// A thread beyond the end has zeros. `scratch` as for block_most().
__device__ __forceinline__ void pack_row(const float (&y)[kLane], int width,
                                         const PackedRows& packed, std::uint32_t* scratch) {
  const int eights = width / kLane, stored = (eights + 1) / 2 * 2;  // 16 bytes at a time
  const auto thread = static_cast<int>(threadIdx.x);
  float x[kLane];
  std::uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] = y[i];
  round_values(x);
#pragma unroll
  for (const float value : x) most = max(most, size_of(value));
  const float scale = scale_of_row(block_most(most, scratch));
  if (thread == 0) packed.scales[blockIdx.x] = scale;
  if (thread >= stored) return;
  auto* const target = static_cast<uint2*>(packed.values) + std::size_t{blockIdx.x} * stored;
  target[thread] = Divisor(scale).packed(x);
}

__device__ __forceinline__ void weigh(float (&x)[kLane], float scale,
                                      const float (&weight)[kLane]) {
#pragma unroll
  for (int i = 0; i < kLane; ++i) x[i] = x[i] * scale * weight[i];
}

__global__ void __launch_bounds__(kThreadsMax)
    pack_rms_norm_kernel(const RmsNorm norm, const PackedRows packed) {
  __shared__ float scratch[32];
  __shared__ std::uint32_t most[32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < norm.width;
  let_next_kernel_start();
  float weight[kLane] = {1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F};
  if (mine && norm.weight != nullptr) load_values(norm.weight + column, weight);
  wait_for_previous_kernels();
  const std::size_t row = norm.rows == nullptr ? blockIdx.x : norm.rows[blockIdx.x];
  float x[kLane] = {};
  if (mine) load_values(norm.x + row * norm.width + column, x);
  weigh(x, rms_scale(x, norm.width, norm.eps, scratch), weight);
  pack_row(x, norm.width, packed, most);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads, kThreads > kThreadsOfMost ? 1 : 3)
    pack_residual_norm_kernel(const ResidualNorm norm, const PackedRows packed) {
  __shared__ float scratch[2][32];
  __shared__ std::uint32_t most[32];
  const int column = static_cast<int>(threadIdx.x) * kLane;
  const bool mine = column < norm.width;
  const std::size_t at = static_cast<std::size_t>(blockIdx.x) * norm.width + column;
  let_next_kernel_start();
  float post[kLane] = {};
  float pre[kLane] = {};
  if (mine) {
    load_values(norm.post_weight + column, post);
    load_values(norm.pre_weight + column, pre);
  }
  wait_for_previous_kernels();
  float x[kLane] = {};
  float hidden[kLane] = {};
  if (mine) {
    load_values(norm.sublayer + at, x);
    load_values(norm.hidden + at, hidden);
  }
  add_residual(hidden, x, post, rms_scale(x, norm.width, norm.eps, scratch[0]), norm.scalar);
  if (mine) store_values(norm.hidden + at, hidden);
  weigh(hidden, rms_scale(hidden, norm.width, norm.eps, scratch[1]), pre);
  pack_row(hidden, norm.width, packed, most);
}

bool can_pack(const PackedRows& packed, int width, int count) {
  return packed.values != nullptr && packed.scales != nullptr && count > 0 && row_fits_block(width);
}

LaunchShape shape_of(int width, int count) {
  return {.blocks = static_cast<unsigned>(count), .threads = threads_of_row(width)};
}

}  // namespace

cudaError_t pack_rms_norm(const RmsNorm& norm, const PackedRows& packed, int count,
                          cudaStream_t stream) noexcept {
  if (norm.x == nullptr || norm.y != nullptr || !can_pack(packed, norm.width, count))
    return cudaErrorInvalidValue;
  return launch(pack_rms_norm_kernel, shape_of(norm.width, count), stream, norm, packed);
}

cudaError_t pack_residual_norm(const ResidualNorm& norm, const PackedRows& packed, int count,
                               cudaStream_t stream) noexcept {
  const bool complete = norm.sublayer != nullptr && norm.post_weight != nullptr &&
                        norm.hidden != nullptr && norm.pre_weight != nullptr && norm.y == nullptr;
  if (!complete || !can_pack(packed, norm.width, count)) return cudaErrorInvalidValue;
  const LaunchShape shape = shape_of(norm.width, count);
  const auto kernel = shape.threads.x <= kThreadsOfMost ? pack_residual_norm_kernel<kThreadsOfMost>
                                                        : pack_residual_norm_kernel<kThreadsMax>;
  return launch(kernel, shape, stream, norm, packed);
}

}  // namespace captiond::kernels
