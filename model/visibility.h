#pragma once

#include <cstddef>

#include "model/engine.h"
#include "model/kv_page.h"
#include "model/model_config.h"
#include "model/step.h"

namespace captiond {

// Which keys the rows of a slice see on the layers of one group: the causal rule, the window of
// sliding layers and the pictures that attention runs through both ways. Source: reference model.md
// section 2.5; kFullCausal is its variant (a), kFullBidirectional its variant (b).
class Visibility {
 public:
  Visibility(const TextConfig& text, VisionMask vision_mask, KvGroup group);

  // Every visible key of the slice lies in first_key() … first_position + count - 1, and a slice of
  // one row sees all of them.
  std::size_t first_key(const StepSlice& slice) const;

  // What the row at position `query` of the slice sees: the positions first … end - 1, one run.
  struct KeyRun {
    std::size_t first = 0;
    std::size_t end = 0;
  };
  KeyRun visible_run(const StepSlice& slice, std::size_t query) const;

  // Whether the row at position `query` of the slice sees position `key`.
  bool visible(const StepSlice& slice, std::size_t query, std::size_t key) const;

 private:
  const std::size_t window_;  // the greatest number where there is none
  const bool both_ways_;      // inside a picture
  const bool whole_block_;    // a picture is seen even beyond the window
};

}  // namespace captiond
