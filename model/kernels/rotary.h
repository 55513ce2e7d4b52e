#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/kv_layer.h"

namespace captiond::kernels {

// What the q, k and v projections gave becomes queries, and keys and values in their pages.
//
//   query[r, h] = rope(rms(projected[r, h]) * query_weight)               h < heads
//   K           = rope(rms(projected[r, heads + h]) * key_weight)         h < kv_heads
//   V           = rms(projected[r, heads + kv_heads + h])                 no weight, no rope
//   V           = rms(projected[r, heads + h])                            when value_is_key
//
// rope turns the pairs (i, i + head_dim / 2), i < rotary_pairs, by position * inverse_frequency[i];
// the others stay ("proportional"). Rounded to bf16 after the norm; cosine and sine, both products
// and their sum are rounded as well (reference model.md 2.6).
struct RotateAndStore {
  const __nv_bfloat16* projected = nullptr;     // [rows, heads + kv_heads (+ kv_heads), head_dim]
  const __nv_bfloat16* query_weight = nullptr;  // [head_dim]
  const __nv_bfloat16* key_weight = nullptr;    // [head_dim]
  const float* inverse_frequency = nullptr;     // [rotary_pairs] float32, device
  __nv_bfloat16* query = nullptr;               // [rows, heads, head_dim]; not `projected`
  KvLayer kv;                                   // written at the rows' positions
  const KvRow* rows = nullptr;                  // [rows], device; position -1: nothing is written
  const int* pages = nullptr;                   // flat page ids, device
  int heads = 0;                                // of queries
  int rotary_pairs = 0;                         // at most head_dim / 2
  bool value_is_key = false;
  float eps = 0.0F;
};

// `rows` is the number of rows, padding included. head_dim is even and at most 512; all arrays
// 16-byte aligned. A warp a head; a row's result does not depend on the others. Enqueues and
// returns; cudaErrorInvalidValue for a bad shape.
[[nodiscard]] cudaError_t rotate_and_store(const RotateAndStore& work, int rows,
                                           cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
