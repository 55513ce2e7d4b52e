// Packing rows of activations to e4m3: some eights of values a thread, which stay in registers
// between the search for the largest and the division by the scale. Of few rows a long one is
// shared by the blocks of a cluster, small enough to start beside a product that still runs; of
// many rows several blocks share a multiprocessor, so that one computes while others load.

#include <cstddef>
#include <cstdint>

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_packing.cuh"
#include "model/kernels/row_packing.h"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kSharedRowsMax = 256;    // rows that are worth sharing
constexpr int kThreadsOfSharer = 256;  // of a block that has a part of a row
constexpr int kEightsOfSharer = 2;     // of a thread of it
constexpr int kThreadsMax = 512;       // of a block that has a whole row
constexpr int kEightsOfOwner = 4;      // of a thread of it
constexpr int kBlocksMax = kPackedRowMax / 8 / (kThreadsOfSharer * kEightsOfSharer);
static_assert(kThreadsMax * kEightsOfOwner * 8 == kPackedRowMax);

struct alignas(16) Eight {
  __nv_bfloat162 pair[4] = {};

  // The largest of their sizes, of the two numbers of a pair apart.
  __device__ std::uint32_t most_of_halves() const {
    const auto* const words = reinterpret_cast<const std::uint32_t*>(pair);
    std::uint32_t most = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) most = __vmaxu2(most, words[i] & 0x7fff7fffU);
    return most;
  }
};

// Of all threads of the cluster.
__device__ std::uint32_t largest_of_row(std::uint32_t most, unsigned blocks) {
  __shared__ std::uint32_t of_warp[32];
  __shared__ std::uint32_t of_block[kBlocksMax];
  most = block_most(most, of_warp);
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
  const unsigned lane = threadIdx.x % 32;
  return __reduce_max_sync(~0U, lane < blocks ? of_block[lane] : 0U);
}

template <int kThreads, int kEights>
__global__ void __launch_bounds__(kThreads, 3)
    pack_rows_kernel(const __nv_bfloat16* x, int in, unsigned blocks, const PackedRows packed) {
  if (blocks > 1) asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  let_next_kernel_start();
  wait_for_previous_kernels();
  const std::size_t row = blockIdx.x / blocks;
  const auto* const source = reinterpret_cast<const Eight*>(x + row * in);
  const int eights = in / 8, stored = (eights + 1) / 2 * 2;  // 16 bytes at a time
  const auto threads = static_cast<int>(blockDim.x);
  const int first =
      static_cast<int>(blockIdx.x % blocks) * threads * kEights + static_cast<int>(threadIdx.x);
  Eight held[kEights];
  std::uint32_t halves = 0;
#pragma unroll
  for (int i = 0; i < kEights; ++i)
    if (first + i * threads < eights) held[i] = source[first + i * threads];
#pragma unroll
  for (const Eight& eight : held) halves = __vmaxu2(halves, eight.most_of_halves());
  const std::uint32_t most = max(halves << 16, halves & 0xffff0000U);
  const float scale = scale_of_row(largest_of_row(most, blocks));
  if (first == 0) packed.scales[row] = scale;
  const Divisor divisor(scale);
  auto* const target = static_cast<uint2*>(packed.values) + row * stored;
#pragma unroll
  for (int i = 0; i < kEights; ++i) {
    const int index = first + i * threads;
    if (index >= stored) continue;
    float values[8];
    load_values(reinterpret_cast<const __nv_bfloat16*>(held[i].pair), values);
    target[index] = divisor.packed(values);
  }
}

}  // namespace

cudaError_t pack_rows(const __nv_bfloat16* x, int in, int rows, const PackedRows& packed,
                      cudaStream_t stream) noexcept {
  if (x == nullptr || packed.values == nullptr || packed.scales == nullptr || rows <= 0 ||
      in <= 0 || in % 8 != 0 || in > kPackedRowMax)
    return cudaErrorInvalidValue;
  const auto parts = [](int whole, int part) { return (whole + part - 1) / part; };
  const bool shares = rows <= kSharedRowsMax;
  const int stored = parts(in, 16) * 2;
  const int blocks = shares ? parts(stored, kThreadsOfSharer * kEightsOfSharer) : 1;
  const int threads =
      parts(parts(stored, blocks * (shares ? kEightsOfSharer : kEightsOfOwner)), 32) * 32;
  const LaunchShape shape{.blocks = dim3(static_cast<unsigned>(rows * blocks)),
                          .threads = dim3(static_cast<unsigned>(threads)),
                          .cluster = static_cast<unsigned>(blocks)};
  const auto kernel = shares ? pack_rows_kernel<kThreadsOfSharer, kEightsOfSharer>
                             : pack_rows_kernel<kThreadsMax, kEightsOfOwner>;
  return launch(kernel, shape, stream, x, in, static_cast<unsigned>(blocks), packed);
}

}  // namespace captiond::kernels
