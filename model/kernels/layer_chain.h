#pragma once

#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/matrix.h"

namespace captiond::kernels {

// Widest hidden state of a LayerChain.
inline constexpr int kChainHiddenMax = 4096;

// What stands between the attention of one layer and that of the next, for up to kSplitRowsMax
// rows, in one launch:
//   sublayer = attended · attention_outᵀ;  the seam of norm.h with the norms after attention
//   and before feed-forward;  gelu(gate) * up;  down;  the seam with the norm after feed-forward,
//   the scalar and the next layer's first norm;  projected = normed · query_key_valueᵀ
// with the bits of linear_few(), gate_up_few() and residual_norm().
struct LayerChain {
  Matrix attention_out;    // [hidden, attended width]
  Matrix gate_up;          // [2 * inner, hidden]
  Matrix down;             // [hidden, inner]
  Matrix query_key_value;  // [projected width, hidden] of the next layer; no values: there is none
  const __nv_bfloat16* post_attention_norm = nullptr;  // [hidden], device, like all here
  const __nv_bfloat16* pre_feedforward_norm = nullptr;
  const __nv_bfloat16* post_feedforward_norm = nullptr;
  const __nv_bfloat16* scalar = nullptr;      // [1]; null: none
  const __nv_bfloat16* input_norm = nullptr;  // [hidden] of the next layer; null when there is none
  const __nv_bfloat16* attended = nullptr;    // [rows, attended width], 16-byte aligned as all rows
  __nv_bfloat16* hidden = nullptr;            // [rows, hidden], the residual stream, updated
  __nv_bfloat16* projected = nullptr;         // [rows, projected width]
  // Scratch: [rows, hidden] twice, [rows, inner], all apart from the rest; and counters, zeroed
  // once before their first use and then left to launches of one stream.
  __nv_bfloat16* middle = nullptr;
  __nv_bfloat16* sublayer = nullptr;
  __nv_bfloat16* active = nullptr;
  void* counters = nullptr;  // [kChainCounterBytes]
  int rows = 0;
  int blocks = 0;  // at most the device's multiprocessors: all run at the same time
  float eps = 0.0F;
};

inline constexpr std::size_t kChainCounterBytes = 512;

// Whether matrices of these shapes, and so many rows, can be chained: one format for all, up to
// kSplitRowsMax rows, a hidden size of up to kChainHiddenMax, inputs that fit into shared memory.
[[nodiscard]] bool chains(const LayerChain& chain) noexcept;

// Enqueues and returns; allocates nothing. Needs the device for itself: launches of other streams
// that never end before this one would keep its blocks apart for good. Returns
// cudaErrorInvalidValue for what cannot be chained, else the launch status.
[[nodiscard]] cudaError_t run_layer_chain(const LayerChain& chain, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
