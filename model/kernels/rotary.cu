// Norm, rope and the way into the KV pages: a warp takes one head, its values in registers. A lane
// holds pairs (i, i + head_dim / 2), so that rope needs no exchange.

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"
#include "model/kernels/value_pages.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;  // a block
// From so many rows on two blocks, or one, take a row's heads: so they share its turns.
constexpr int kManyRows = 256;
constexpr int kMostRows = 2048;

// Every `stride`-th head from `first` on of a block's row. Values stay away when `kValuesApart`.
template <class Slot, int kVector, int kSteps, bool kValuesApart>
__device__ __forceinline__ void rotate_row(const RotateAndStore& work, int first, int stride) {
  const int dim = work.kv.head_dim;
  const int half = dim / 2;
  const int kv_heads = work.kv.kv_heads;
  const int head_count = work.heads + (work.value_is_key ? 1 : 2) * kv_heads;
  const int head_end = kValuesApart ? work.heads + kv_heads : head_count;
  const std::size_t step_row = blockIdx.x;
  const KvRow row = work.rows[step_row];
  RotaryTurn<kVector, kSteps> turn;
  if (row.position >= 0) turn.compute(work, row.position);
  wait_for_previous_kernels();
  if (row.position < 0) return;

  for (int index = first; index < head_end; index += stride) {
    const bool is_query = index < work.heads;
    const bool is_key = !is_query && index < work.heads + kv_heads;
    RotaryHead<kVector, kSteps> head;
    RotaryHead<kVector, kSteps> weight;
    head.load(work.projected + (step_row * head_count + index) * dim, half);
    if (is_query || is_key) weight.load(is_query ? work.query_weight : work.key_weight, half);
    const float scale = head.scale(dim, work.eps);
    if (is_query) {
      head = normed<true>(head, weight, scale);
      turn.apply(head);
      head.store(work.query + (step_row * work.heads + index) * dim, half);
      continue;
    }
    const Slot place(work, row, (index - work.heads) % kv_heads);
    if constexpr (!kValuesApart) {
      if (!is_key || work.value_is_key) place.store_value(normed<false>(head, weight, scale));
      if (!is_key) continue;
    }
    head = normed<true>(head, weight, scale);
    turn.apply(head);
    place.store_key(head);
  }
}

template <class Slot, int kVector, int kSteps>
__global__ void __launch_bounds__(kWarps * 32) rotate_and_store_kernel(const RotateAndStore work) {
  let_next_kernel_start();
  const int warp = static_cast<int>(blockIdx.y * kWarps + threadIdx.x / 32);
  rotate_row<Slot, kVector, kSteps, false>(work, warp, static_cast<int>(gridDim.y) * kWarps);
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
    rotate_row<Fp8Slot, kVector, 1, true>(work, warp, static_cast<int>(gridDim.y - 1) * kWarps);
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
  const bool complete = work.projected != nullptr && work.query_weight != nullptr &&
                        work.key_weight != nullptr && work.inverse_frequency != nullptr &&
                        work.query != nullptr && work.kv.base != nullptr && work.rows != nullptr &&
                        work.pages != nullptr;
  const int dim = work.kv.head_dim;
  const bool shaped = dim > 0 && dim % 2 == 0 && dim <= 512 && work.heads > 0 &&
                      work.kv.kv_heads > 0 && work.rotary_pairs >= 0 &&
                      work.rotary_pairs <= dim / 2 && rows > 0;
  if (!complete || !shaped || work.projected == work.query) return cudaErrorInvalidValue;
  if (dim == 512) return launch_heads<8, 1>(work, rows, stream);
  if (dim == 256) return launch_heads<4, 1>(work, rows, stream);
  return launch_heads<1, 8>(work, rows, stream);
}

}  // namespace captiond::kernels
