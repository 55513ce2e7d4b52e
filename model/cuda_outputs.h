#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/checkpoint.h"
#include "model/cuda_clock.h"
#include "model/cuda_memory.h"
#include "model/cuda_products.h"
#include "model/cuda_weights.h"
#include "model/forward.h"

namespace captiond {

// From the last hidden states to what was asked for: final norm, head, choices or logits, and the
// way back to the host. Engine thread only.
class CudaOutputs {
 public:
  // `weights` outlives the object. Throws std::runtime_error when memory is short.
  CudaOutputs(const Checkpoint& checkpoint, const CudaWeights& weights);
  ~CudaOutputs();

  // Where the results of a step come from.
  struct Source {
    const __nv_bfloat16* hidden = nullptr;      // [rows, hidden_size], device
    const std::int32_t* output_rows = nullptr;  // device, rows of the outputs in `order`
    std::span<const std::size_t> order;         // of Step::outputs, those of kHidden last
  };

  // Hands over all heads of `step` and then its outputs in that order, waiting for the GPU once a
  // block of them. Reads device memory behind what `products` has enqueued so far; `clock` is
  // stopped behind each block.
  void hand_over(const Step& step, const Source& source, const CudaProducts& products,
                 CudaClock& clock, const RowSink& sink);

  // The choices, greedy or sampled, of a step whose outputs all ask for them, in two parts:
  // enqueues them, and hands them over once the stream has come to the end. Of two such steps one
  // after another each has a `turn` of its own, 0 or 1.
  void begin_choices(const Step& step, const Source& source, const CudaProducts& products,
                     std::size_t turn);
  void hand_over_choices(std::size_t turn, std::size_t count, const RowSink& sink) const;
  static constexpr std::size_t kChoicesMax = 512;  // of a step in two parts

  // Device: what the outputs of the step enqueued last choose.
  const kernels::GreedyChoice* choices() const { return choices_.as<kernels::GreedyChoice>(); }

  std::size_t device_bytes() const;

 private:
  // Heads and ordered outputs of the step, numbered through both.
  struct Block {
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t chosen = 0;               // leading ones that ask for more than the hidden state
    RowOutput most = RowOutput::kHidden;  // that any asks for
    std::size_t at = 0;                   // of choices_ and draws_, where its first one stands
    std::size_t turn = 0;
  };

  static Block block_at(const Step& step, std::span<const std::size_t> order, std::size_t first);
  void compute(const Step& step, const Source& source, const Block& block,
               const CudaProducts& products);
  void sample(const Step& step, const Source& source, const Block& block,
              const CudaProducts& products);
  void fetch(const Block& block, const CudaProducts& products);
  void hand_over(const Step& step, const Source& source, const Block& block, const RowSink& sink);

  const TextConfig& text_;  // the checkpoint's
  const CudaWeights& weights_;
  std::unique_ptr<kernels::Head> head_;
  std::vector<float> row_;  // hidden state of the row at hand

  DeviceMemory suppressed_bits_;
  DeviceMemory normal_;   // [block, hidden_size] bf16, after the final norm
  DeviceMemory choices_;  // [block]
  DeviceMemory draws_;    // [block]
  DeviceMemory logits_;   // [a block of sampled rows, vocab_size] float32
  PinnedMemory host_heads_;
  PinnedMemory host_normal_;
  std::array<PinnedMemory, 2> host_choices_;  // by turn
  std::array<PinnedMemory, 2> host_draws_;
  PinnedMemory host_logits_;
};

}  // namespace captiond
