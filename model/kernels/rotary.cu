// Norm, rope and the way into the KV pages: a warp takes one head, its values in registers. A lane
// holds pairs (i, i + head_dim / 2), so that rope needs no exchange.

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;  // a block
// From so many rows on two blocks, or one, take a row's heads: so they share its turns.
constexpr int kManyRows = 256;
constexpr int kMostRows = 2048;

template <class Slot, int kVector, int kSteps>
__global__ void __launch_bounds__(kWarps * 32) rotate_and_store_kernel(const RotateAndStore work) {
  let_next_kernel_start();
  const int dim = work.kv.head_dim;
  const int half = dim / 2;
  const int kv_heads = work.kv.kv_heads;
  const int head_count = work.heads + (work.value_is_key ? 1 : 2) * kv_heads;
  const std::size_t step_row = blockIdx.x;
  const KvRow row = work.rows[step_row];
  RotaryTurn<kVector, kSteps> turn;
  if (row.position >= 0) turn.compute(work, row.position);
  wait_for_previous_kernels();
  if (row.position < 0) return;

  for (int index = static_cast<int>(blockIdx.y * kWarps + threadIdx.x / 32); index < head_count;
       index += static_cast<int>(gridDim.y) * kWarps) {
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
    if (!is_key || work.value_is_key) place.store_value(normed<false>(head, weight, scale));
    if (!is_key) continue;
    head = normed<true>(head, weight, scale);
    turn.apply(head);
    place.store_key(head);
  }
}

template <int kVector, int kSteps>
cudaError_t launch_heads(const RotateAndStore& work, int rows, cudaStream_t stream) {
  const int heads = work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
  const int blocks = rows >= kMostRows ? 1 : rows >= kManyRows ? 2 : (heads + kWarps - 1) / kWarps;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(blocks));
  const LaunchShape shape = {.blocks = grid, .threads = kWarps * 32};
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
