#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "model/sequence.h"

namespace captiond {

// Turns what the sequences ask for into steps of at most `step_rows_max` rows, or `prompt_rows_max`
// where nothing decodes and so nobody waits for the step's end; a picture alone may have more,
// since it is never split.
//
// Sequences that decode come first, each with at least one row, in order of deadline and then of
// who waited longest; a quarter of the rows is kept for prompts when there are any, so that neither
// starves the other. Then drafts, then prompts in the same order, cut where the step is full; a
// fork of a prompt that goes on with ids has its rows right behind those of the prompt. Every
// kTurn-th step begins with the prompt that has waited longest, so that one without a deadline is
// read even where others always are in more of a hurry. Engine thread only.
class Scheduler {
 public:
  // prompt_rows_max >= step_rows_max >= kStepRowsLeast.
  Scheduler(std::size_t step_rows_max, std::size_t prompt_rows_max);
  static constexpr std::size_t kStepRowsLeast = 4;
  static constexpr std::uint64_t kTurn = 8;

  // The next step; empty (no sequences) when nobody wants rows. A sequence that cannot be served
  // (no pages, too long) fails here and the others go on.
  StepPlan plan(std::span<const std::shared_ptr<Sequence>> sequences);

 private:
  const std::size_t step_rows_max_;
  const std::size_t prompt_rows_max_;
  std::uint64_t served_ = 0;  // turns given so far
  std::uint64_t steps_ = 0;   // with prompts
};

}  // namespace captiond
