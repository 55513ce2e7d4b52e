#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "model/kernels/draw.h"
#include "model/kv_page.h"
#include "model/token.h"

namespace captiond {

// Rows of one slice, all of one kind. Everything is borrowed until the step has run.
struct IdRows {
  std::vector<TokenId> ids;
};
struct AudioRows {
  std::span<const float> samples;  // n * AudioPatches::kSamplesPerPatch
};
struct PictureRows {
  std::span<const std::uint8_t> pixels;  // n * VisionPatches::kBytesPerPatch
  std::size_t first_patch = 0;           // raster index of the first row's patch
  std::size_t columns = 0;               // patches in a row of the picture: x = i % columns
};
// One row of the id that an output of the step begun before this one chooses: the host does not
// know it yet. See DecodeAhead.
struct ChosenRow {
  std::size_t output = 0;  // its place among that step's outputs
};
using SliceRows = std::variant<IdRows, AudioRows, PictureRows, ChosenRow>;

// A run of consecutive positions of one sequence. The rows of a step are those of its slices, one
// after another; the slices of one sequence stand in ascending order.
struct StepSlice {
  std::size_t first_position = 0;
  std::size_t count = 0;
  SliceRows rows;
  // Positions of the picture that the rows belong to; equal when they belong to none. Between them
  // attention runs both ways (reference model.md 2.5).
  std::size_t block_first = 0;
  std::size_t block_end = 0;
  // By KvGroup: page of each kPagePositions positions. All positions that the rows see are there;
  // the pages of the rows themselves are writable.
  std::array<std::span<const PageId>, kKvGroupCount> pages;
};

// What is wanted of a row: only its hidden state, the greedy choice, a drawn one, or all logits.
enum class RowOutput : std::uint8_t { kHidden, kGreedy, kSampled, kLogits };

struct OutputRow {
  std::size_t row = 0;  // of the step
  RowOutput output = RowOutput::kHidden;
  kernels::Draw draw = {};  // kSampled: how
};

// A row that needs the head alone: its hidden state is known from an earlier step.
struct HeadRow {
  std::span<const float> hidden;  // [hidden_size]
  RowOutput output = RowOutput::kGreedy;
  kernels::Draw draw = {};  // kSampled: how
};

// One ragged forward pass. Copies are done first, in order.
struct Step {
  std::vector<PageCopy> copies;
  std::vector<StepSlice> slices;
  std::vector<OutputRow> outputs;  // ascending by row
  std::vector<HeadRow> heads;

  std::size_t rows() const {
    std::size_t sum = 0;
    for (const StepSlice& slice : slices) sum += slice.count;
    return sum;
  }
};

}  // namespace captiond
