#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "model/step.h"
#include "model/token.h"

namespace captiond {

class DecodeAhead;
class PicturePatcher;

// The outcome of one output row. Spans are valid during the call that hands it over.
struct RowResult {
  // [hidden_size] after the final norm, the input of the head. Where a choice or logits are asked
  // for it may be left empty, where it would cost time.
  std::span<const float> hidden;
  // Where a choice or logits are asked for: whether every logit is finite.
  bool finite = true;
  // kGreedy: the first largest logit among the ids that are not suppressed. kSampled: the id that
  // is drawn, if no logits are given. Meaningless when not finite.
  TokenId choice = 0;
  // kLogits: [vocab_size] float32, softcapped, nothing suppressed. kSampled: the same where the
  // draw is left to the receiver, as on the CPU; else empty.
  std::span<const float> logits;
};

// Called once for each head row and then for each output of the step: `index` counts through both.
// In order, but outputs that ask for the hidden state alone may come behind all others.
using RowSink = std::function<void(std::size_t index, const RowResult& result)>;

// The forward pass of the model over one step, with the storage of keys and values that pages stand
// for. Engine thread only. Virtual because two exist (ATen and own CUDA kernels) and tests script a
// third.
class Forward {
 public:
  virtual ~Forward() = default;
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  // Computes all rows, writes their keys and values, then hands over what was asked for. Throws
  // std::exception when the pass fails: the rows' pages then hold rubbish, other pages are intact.
  // DeviceLost: no later pass will succeed either.
  virtual void run(const Step& step, const RowSink& sink) = 0;

  // The same object where decode steps can be begun ahead; null where they cannot, as on the CPU.
  virtual DecodeAhead* decode_ahead() { return nullptr; }

  // Who scales pictures on the device of this pass; null where nobody does, as on the CPU. Unlike
  // the pass itself it may be used by any thread, while the pass lives.
  virtual PicturePatcher* picture_patcher() { return nullptr; }

  // How long a GPU has computed for all steps so far, from its first copy of a step to its last; 0
  // where the CPU computes.
  virtual double device_seconds() const { return 0.0; }

 protected:
  Forward() = default;
};

}  // namespace captiond
