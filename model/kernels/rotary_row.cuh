#pragma once

#include <cstddef>

#include "model/kernels/rotary.h"
#include "model/kernels/rotary_head.cuh"

// Norm, rope and the way into the pages of one row.
namespace captiond::kernels {

__host__ __device__ __forceinline__ int heads_of_row(const RotateAndStore& work) {
  return work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
}

// Whether `work` is whole and of heads that rotate_and_store() takes.
inline bool can_rotate_rows(const RotateAndStore& work) {
  const bool complete = work.projected != nullptr && work.query_weight != nullptr &&
                        work.key_weight != nullptr && work.inverse_frequency != nullptr &&
                        work.query != nullptr && work.kv.base != nullptr && work.rows != nullptr &&
                        work.pages != nullptr && work.projected != work.query;
  const int dim = work.kv.head_dim;
  return complete && dim > 0 && dim % 2 == 0 && dim <= 512 && work.heads > 0 &&
         work.kv.kv_heads > 0 && work.rotary_pairs >= 0 && work.rotary_pairs <= dim / 2;
}

// What becomes of head `index` of a row's projections, by a warp; `weight` is of its norm, where it
// has one. Values stay away when `kValuesApart`.
template <class Slot, int kVector, int kSteps, bool kValuesApart>
__device__ __forceinline__ void rotate_head(const RotateAndStore& work, const KvRow& row,
                                            std::size_t step_row, int index,
                                            RotaryHead<kVector, kSteps> head,
                                            const RotaryHead<kVector, kSteps>& weight,
                                            const RotaryTurn<kVector, kSteps>& turn) {
  const int dim = work.kv.head_dim, half = dim / 2;
  const bool is_key = index < work.heads + work.kv.kv_heads;
  const float scale = head.scale(dim, work.eps);
  if (index < work.heads) {
    head = normed<true>(head, weight, scale);
    turn.apply(head);
    head.store(work.query + (step_row * work.heads + index) * dim, half);
    return;
  }
  const Slot place(work, row, (index - work.heads) % work.kv.kv_heads);
  if constexpr (!kValuesApart) {
    if (!is_key || work.value_is_key) place.store_value(normed<false>(head, weight, scale));
    if (!is_key) return;
  }
  head = normed<true>(head, weight, scale);
  turn.apply(head);
  place.store_key(head);
}

// Every `stride`-th head from `first` on of a row, a warp a head. `wait` returns once the row's
// projections stand.
template <class Slot, int kVector, int kSteps, bool kValuesApart, class Wait>
__device__ __forceinline__ void rotate_row(const RotateAndStore& work, std::size_t step_row,
                                           int first, int stride, const Wait& wait) {
  const int dim = work.kv.head_dim, half = dim / 2;
  const int head_count = heads_of_row(work);
  const int keys_end = work.heads + work.kv.kv_heads;
  const KvRow row = work.rows[step_row];
  RotaryTurn<kVector, kSteps> turn;
  if (row.position >= 0) turn.compute(work, row.position);
  wait();
  if (row.position < 0) return;

  for (int index = first; index < (kValuesApart ? keys_end : head_count); index += stride) {
    RotaryHead<kVector, kSteps> head;
    RotaryHead<kVector, kSteps> weight;
    head.load(work.projected + (step_row * head_count + index) * dim, half);
    if (index < keys_end)
      weight.load(index < work.heads ? work.query_weight : work.key_weight, half);
    rotate_head<Slot, kVector, kSteps, kValuesApart>(work, row, step_row, index, head, weight,
                                                     turn);
  }
}

}  // namespace captiond::kernels
