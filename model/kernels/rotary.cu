// Norm, rope and the way into the KV pages: a warp takes one head, its values in registers. A lane
// holds pairs (i, i + head_dim / 2), so that rope needs no exchange.

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"
#include "model/kernels/rotary_row.cuh"
#include "model/kernels/value_pages.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;  // a block
// From so many rows on two blocks, or one, take a row's heads: so they share its turns.
constexpr int kManyRows = 256;
constexpr int kMostRows = 2048;

template <class Slot, int kVector, int kSteps>
__global__ void __launch_bounds__(kWarps * 32) rotate_and_store_kernel(const RotateAndStore work) {
  let_next_kernel_start();
  const int warp = static_cast<int>(blockIdx.y * kWarps + threadIdx.x / 32);
  rotate_row<Slot, kVector, kSteps, false>(work, blockIdx.x, warp,
                                           static_cast<int>(gridDim.y) * kWarps,
                                           [] { wait_for_previous_kernels(); });
}

// The first blocks of a grid take the values, a page each; the others a row of queries and keys.
template <int kVector>
__global__ void __launch_bounds__(kWarps * 32)
    rotate_and_fill_pages_kernel(const RotateAndStore work) {
  using Pages = ValuePages<kVector, 1>;
  static_assert(kWarps == Pages::kWarps);
  __shared__ uint4 pieces[Pages::kPieces];
  let_next_kernel_start();
  if (blockIdx.y > 0) {
    const int warp = static_cast<int>((blockIdx.y - 1) * kWarps + threadIdx.x / 32);
    rotate_row<Fp8Slot, kVector, 1, true>(work, blockIdx.x, warp,
                                          static_cast<int>(gridDim.y - 1) * kWarps,
                                          [] { wait_for_previous_kernels(); });
    return;
  }
  const int rows = static_cast<int>(gridDim.x);
  const int tile = static_cast<int>(blockIdx.x) / work.kv.kv_heads;
  if (tile * Pages::kRows >= rows) return;
  wait_for_previous_kernels();
  Pages(work, rows, tile, static_cast<int>(blockIdx.x) % work.kv.kv_heads, pieces).run();
}

template <int kVector, int kSteps>
cudaError_t launch_heads(const RotateAndStore& work, int rows, cudaStream_t stream) {
  const int heads = work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
  const int blocks = rows >= kMostRows ? 1 : rows >= kManyRows ? 2 : (heads + kWarps - 1) / kWarps;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(blocks));
  const LaunchShape shape = {.blocks = grid, .threads = kWarps * 32};
  if constexpr (kVector > 1) {
    // Blocks of values are made for a page of each KV head, and there are as many as rows.
    const int pages = (rows + kKvPagePositions - 1) / kKvPagePositions;
    const bool fits = pages * work.kv.kv_heads <= rows;
    if (work.kv.format == KvFormat::kFp8 && rows >= kManyRows && fits) {
      const LaunchShape with_pages = {.blocks = dim3(grid.x, grid.y + 1), .threads = kWarps * 32};
      return launch(rotate_and_fill_pages_kernel<kVector>, with_pages, stream, work);
    }
  }
  return work.kv.format == KvFormat::kFp8
             ? launch(rotate_and_store_kernel<Fp8Slot, kVector, kSteps>, shape, stream, work)
             : launch(rotate_and_store_kernel<Bf16Slot, kVector, kSteps>, shape, stream, work);
}

}  // namespace

cudaError_t rotate_and_store(const RotateAndStore& work, int rows, cudaStream_t stream) noexcept {
  if (!can_rotate_rows(work) || rows <= 0) return cudaErrorInvalidValue;
  const int dim = work.kv.head_dim;
  if (dim == 512) return launch_heads<8, 1>(work, rows, stream);
  if (dim == 256) return launch_heads<4, 1>(work, rows, stream);
  return launch_heads<1, 8>(work, rows, stream);
}

}  // namespace captiond::kernels
