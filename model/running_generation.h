#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "model/forward.h"
#include "model/generation.h"
#include "model/kernels/draw.h"
#include "model/request.h"
#include "model/sampler.h"

namespace captiond {

// The error of a context whose logits at `position` are not all finite.
std::runtime_error logits_not_finite(std::size_t position);

// One generation under way: turns the outputs of verified rows into tokens. Knows nothing of pages
// and steps. Engine thread only.
//
// A step computes rows for the pending token (if any) and for the next tokens of the draft; their
// outputs, and before them that of the row in front, go to take() in order. It accepts tokens until
// the draft differs from what the model says, then the rows behind are void.
class RunningGeneration {
 public:
  // `stop` ascending: ids that end the generation. `suppressed` ascending.
  RunningGeneration(std::uint64_t request, Generate generate, std::vector<TokenId> stop,
                    std::vector<TokenId> suppressed);

  std::uint64_t request() const { return request_; }
  std::chrono::steady_clock::time_point deadline() const { return options_.deadline; }
  RowOutput output() const {
    return options_.sampling.greedy ? RowOutput::kGreedy : RowOutput::kSampled;
  }
  // How token `index` of the generation is drawn.
  kernels::Draw draw(std::size_t index) const { return draw_of(options_.sampling, index); }

  // The chosen token that no row has been computed for; it opens the next rows.
  std::optional<TokenId> pending() const { return pending_; }
  // What of the draft is still worth a row after the pending token.
  std::span<const TokenId> draft_left() const;

  // Whether the token that the step under way chooses has no draft behind it and is not the last
  // one allowed.
  bool may_go_on() const;

  // `draft_rows` rows of draft_left() are computed in this step behind the row in front, which ends
  // at position `base`: base positions are valid whatever the outputs say.
  void begin_step(std::size_t base, std::size_t draft_rows);

  // The next output of the step. Throws std::runtime_error when the logits are not finite.
  void take(const RowResult& result);

  // After all outputs: how many positions are valid, and the hidden state behind the last of them
  // (empty if it was not computed).
  std::size_t valid_length() const { return valid_length_; }
  std::vector<float> take_hidden();

  bool finished() const { return finished_; }
  // The last token when it was chosen but has no row; to be appended after finished().
  std::optional<TokenId> unwritten() const { return finished_ ? pending_ : std::nullopt; }

  std::size_t tokens() const { return generation_.tokens.size(); }
  std::size_t draft_accepted() const { return generation_.draft_accepted; }

  // Call `done`, the first time only, with the tokens so far.
  void finish(std::exception_ptr error);
  void cancel();

 private:
  void choose(TokenId token, const RowResult& result);
  bool draft_agrees(TokenId token) const;

  const std::uint64_t request_;
  GenerateOptions options_;
  GenerationCallback done_;
  const std::vector<TokenId> stop_;
  Sampler sampler_;  // for rows whose logits came
  Generation generation_;
  bool draft_alive_ = true;  // all tokens so far are those of the draft
  std::optional<TokenId> pending_;
  bool finished_ = false;

  // Of the step under way.
  bool settled_ = false;  // later outputs are void
  std::size_t base_ = 0;
  std::size_t draft_rows_ = 0;
  std::size_t outputs_ = 0;
  std::size_t valid_length_ = 0;
  std::vector<float> hidden_;
};

}  // namespace captiond
