#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/checkpoint.h"
#include "model/cuda_clock.h"
#include "model/cuda_memory.h"
#include "model/cuda_products.h"
#include "model/cuda_weights.h"
#include "model/forward.h"

namespace captiond {

// From the last hidden states to what was asked for: final norm, head, greedy choice or logits, and
// the way back to the host. Engine thread only.
class CudaOutputs {
 public:
  // `weights` outlives the object. Throws std::runtime_error when memory is short.
  CudaOutputs(const Checkpoint& checkpoint, const CudaWeights& weights);
  ~CudaOutputs();

  // Hands over all heads and outputs of `step` in order, waiting for the GPU once a block of them;
  // `clock` is stopped behind each block.
  // hidden [rows, hidden_size] and output_rows (those of Step::outputs) are device memory, read
  // behind what `products` has enqueued so far.
  void hand_over(const Step& step, const __nv_bfloat16* hidden, const std::int32_t* output_rows,
                 const CudaProducts& products, CudaClock& clock, const RowSink& sink);

  std::size_t device_bytes() const;

 private:
  // Heads and outputs of the step, numbered through both.
  struct Block {
    std::size_t first = 0;
    std::size_t count = 0;
    bool greedy = false;  // whether any asks for it
    bool logits = false;
  };

  Block block_at(const Step& step, std::size_t first) const;
  void compute(const Step& step, const Block& block, const __nv_bfloat16* hidden,
               const std::int32_t* output_rows, const CudaProducts& products);
  void fetch(const Block& block, const CudaProducts& products);
  void hand_over(const Step& step, const Block& block, const RowSink& sink);

  const TextConfig& text_;  // the checkpoint's
  const CudaWeights& weights_;
  std::vector<TokenId> suppressed_;  // ascending
  std::unique_ptr<kernels::Head> head_;
  std::vector<float> row_;  // hidden state of the row at hand

  DeviceMemory suppressed_bits_;
  DeviceMemory normal_;   // [block, hidden_size] bf16, after the final norm
  DeviceMemory choices_;  // [block]
  DeviceMemory logits_;   // [a block of logits, vocab_size] float32
  PinnedMemory host_heads_;
  PinnedMemory host_normal_;
  PinnedMemory host_choices_;
  PinnedMemory host_logits_;
};

}  // namespace captiond
