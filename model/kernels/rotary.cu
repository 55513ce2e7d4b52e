// Norm, rope and the way into the KV pages: a warp takes one head, its values in registers. A lane
// holds pairs (i, i + head_dim / 2), so that rope needs no exchange.

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;  // a block

template <int kVector, int kSteps>
__global__ void __launch_bounds__(kWarps * 32) rotate_and_store_kernel(const RotateAndStore work) {
  let_next_kernel_start();
  const int dim = work.kv.head_dim;
  const int half = dim / 2;
  const int kv_heads = work.kv.kv_heads;
  const int head_count = work.heads + (work.value_is_key ? 1 : 2) * kv_heads;
  const int index = static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (index >= head_count) return;
  const std::size_t step_row = blockIdx.x;
  const KvRow row = work.rows[step_row];
  const bool is_query = index < work.heads;
  RotaryTurn<kVector, kSteps> turn;
  RotaryHead<kVector, kSteps> weight;
  const bool is_key = !is_query && index < work.heads + kv_heads;
  if (row.position >= 0 && (is_query || is_key)) {
    turn.compute(work, row.position);
    weight.load(is_query ? work.query_weight : work.key_weight, half);
  }
  wait_for_previous_kernels();
  if (row.position < 0) return;

  RotaryHead<kVector, kSteps> head;
  head.load(work.projected + (step_row * head_count + index) * dim, half);
  const float scale = head.scale(dim, work.eps);

  const std::size_t values = work.kv.page_values() / 2;
  const int kv_head = (index - work.heads) % kv_heads;
  if (!is_query && (!is_key || work.value_is_key)) {
    normed<false>(head, weight, scale).store(slot(work, row, kv_head) + values, half);
  }
  if (!is_query && !is_key) return;
  head = normed<true>(head, weight, scale);
  turn.apply(head);
  __nv_bfloat16* to =
      is_query ? work.query + (step_row * work.heads + index) * dim : slot(work, row, kv_head);
  head.store(to, half);
}

template <int kVector, int kSteps>
cudaError_t launch_heads(const RotateAndStore& work, int rows, cudaStream_t stream) {
  const int heads = work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
  const dim3 grid(static_cast<unsigned>(rows),
                  static_cast<unsigned>((heads + kWarps - 1) / kWarps));
  return launch(rotate_and_store_kernel<kVector, kSteps>, {.blocks = grid, .threads = kWarps * 32},
                stream, work);
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
