#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "model/sequence.h"

namespace captiond {

// Turns what the sequences ask for into steps of at most `step_rows_max` rows; a picture alone may
// have more, since it is never split.
//
// Sequences that decode come first, each with at least one row, in order of deadline and then of
// who waited longest; a quarter of the rows is kept for prompts when there are any, so that neither
// starves the other. Then drafts, then prompts in the same order, cut where the step is full.
// Engine thread only.
class Scheduler {
 public:
  // step_rows_max >= kStepRowsLeast.
  explicit Scheduler(std::size_t step_rows_max);
  static constexpr std::size_t kStepRowsLeast = 4;

  // The next step; empty (no sequences) when nobody wants rows. A sequence that cannot be served
  // (no pages, too long) fails here and the others go on.
  StepPlan plan(std::span<const std::shared_ptr<Sequence>> sequences);

 private:
  const std::size_t step_rows_max_;
  std::uint64_t served_ = 0;  // turns given so far
};

}  // namespace captiond
