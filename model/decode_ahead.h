#pragma once

#include <cstddef>

#include "model/forward.h"
#include "model/step.h"

namespace captiond {

// Decode steps that are begun before the results of the step in front are there, so that a device
// does not wait while the host hands tokens over: what a row is to begin with, the device knows
// itself (ChosenRow). Part of a Forward, between two calls of its run(). Engine thread only.
class DecodeAhead {
 public:
  virtual ~DecodeAhead() = default;
  DecodeAhead(const DecodeAhead&) = delete;
  DecodeAhead& operator=(const DecodeAhead&) = delete;

  // The most rows of a step.
  virtual std::size_t rows_max() const = 0;

  // Begins a step and returns: slices of one row, IdRows or ChosenRow, each with an output that
  // asks for a choice, greedy or sampled, and no heads. At most one step that was begun is not
  // finished. What the step borrows is not needed any more on return. Throws like Forward::run();
  // the step begun before is then still to be finished.
  virtual void start(const Step& step) = 0;

  // Waits for the step begun first and hands over its outputs like Forward::run().
  virtual void finish(const RowSink& sink) = 0;

 protected:
  DecodeAhead() = default;
};

}  // namespace captiond
