#include "model/running_generation.h"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "model/check.h"

namespace captiond {

std::runtime_error logits_not_finite(std::size_t position) {
  return std::runtime_error(
      "The context failed: at position " + std::to_string(position) +
      " the logits are not finite; the weights hold NaN or overflow in this dtype, use float32 or "
      "another checkpoint.");
}

RunningGeneration::RunningGeneration(std::uint64_t request, Generate generate,
                                     std::vector<TokenId> stop, std::vector<TokenId> suppressed)
    : request_(request),
      options_(std::move(generate.options)),
      done_(std::move(generate.done)),
      stop_(std::move(stop)),
      sampler_(std::move(suppressed)) {
  check(std::is_sorted(stop_.begin(), stop_.end()), "stop ids are ascending");
  check(options_.max_tokens > 0, "a generation has room for a token");
}

std::span<const TokenId> RunningGeneration::draft_left() const {
  const std::size_t have = generation_.tokens.size();
  if (finished_ || !draft_alive_ || have >= options_.draft.size()) return {};
  const std::size_t count = std::min(options_.draft.size(), options_.max_tokens) - have;
  return std::span(options_.draft).subspan(have, count);
}

bool RunningGeneration::may_go_on() const {
  return !finished_ && draft_rows_ == 0 && draft_left().empty() &&
         generation_.tokens.size() + 1 < options_.max_tokens;
}

void RunningGeneration::begin_step(std::size_t base, std::size_t draft_rows) {
  check(draft_rows <= draft_left().size(), "only rows of the draft are verified");
  base_ = base;
  draft_rows_ = draft_rows;
  outputs_ = 0;
  valid_length_ = base;
  settled_ = false;
  hidden_.clear();
}

bool RunningGeneration::draft_agrees(TokenId token) const {
  const std::size_t index = generation_.tokens.size();
  return draft_alive_ && index < options_.draft.size() && options_.draft[index] == token;
}

void RunningGeneration::take(const RowResult& result) {
  const std::size_t index = outputs_++;
  check(index <= draft_rows_, "a step has one output more than draft rows");
  if (settled_) return;
  if (!result.finite) throw logits_not_finite(base_ + index - 1);
  choose(result.logits.empty() ? result.choice
                               : sampler_.pick(result.logits, draw(generation_.tokens.size())),
         result);
}

void RunningGeneration::choose(TokenId token, const RowResult& result) {
  const std::size_t index = outputs_ - 1;
  valid_length_ = base_ + index;
  pending_.reset();
  if (std::binary_search(stop_.begin(), stop_.end(), token)) {
    generation_.stop = StopReason::kStopToken;
    finished_ = settled_ = true;
    hidden_.assign(result.hidden.begin(), result.hidden.end());
    return;
  }
  const bool agrees = draft_agrees(token);
  const bool has_row = agrees && index < draft_rows_;
  draft_alive_ = agrees;
  if (agrees) ++generation_.draft_accepted;
  generation_.tokens.push_back(token);
  if (options_.on_token) options_.on_token(token);
  if (has_row) valid_length_ = base_ + index + 1;
  if (!has_row) pending_ = token;
  if (generation_.tokens.size() == options_.max_tokens) {
    generation_.stop = StopReason::kMaxTokens;
    finished_ = true;
  }
  settled_ = finished_ || !has_row;
}

std::vector<float> RunningGeneration::take_hidden() { return std::move(hidden_); }

void RunningGeneration::finish(std::exception_ptr error) {
  if (done_) std::exchange(done_, {})(std::move(generation_), std::move(error));
}

void RunningGeneration::cancel() {
  generation_.stop = StopReason::kCancelled;
  finish(nullptr);
}

}  // namespace captiond
