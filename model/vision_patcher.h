#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/image.h"
#include "model/image_resize.h"
#include "model/vision_patches.h"

namespace captiond {

// A picture as patches: columns * rows soft tokens.
struct PatchGrid {
  std::size_t columns = 0;
  std::size_t rows = 0;

  std::size_t count() const { return columns * rows; }
  std::size_t bytes() const { return count() * VisionPatches::kBytesPerPatch; }
  ImageSize pixels() const { return {columns * VisionPatches::kSide, rows * VisionPatches::kSide}; }
  bool operator==(const PatchGrid&) const = default;
};

// The soft-token budgets that the model was trained with, ascending.
std::span<const std::size_t> vision_budgets();

bool is_vision_budget(std::size_t soft_tokens_max);

// Throws std::invalid_argument unless is_vision_budget().
void require_vision_budget(std::size_t soft_tokens_max);

// The grid that a picture is scaled to: the largest one of its shape within the budget, for small
// pictures too, and at least one patch wide and high. Throws std::invalid_argument if a side is
// zero or longer than ImageResizer::kSideMax, or the budget is none of vision_budgets(). Source:
// reference model.md section 3.1.
PatchGrid target_grid(ImageSize picture, std::size_t soft_tokens_max);

// Turns pictures of one size into patches: scaled to target_grid(), then cut. Tables are made once.
// One thread at a time.
class VisionPatcher {
 public:
  // Throws std::invalid_argument as target_grid() does.
  VisionPatcher(ImageSize picture, std::size_t soft_tokens_max);

  PatchGrid grid() const { return grid_; }

  // Writes grid().bytes() bytes, ordered as in VisionPatches::pixels. Throws std::invalid_argument
  // if the picture has another size than announced or `out` has not exactly that many bytes.
  void patch(const ImageView& picture, std::span<std::uint8_t> out);

 private:
  PatchGrid grid_;
  ImageResizer resizer_;
  std::vector<std::uint8_t> scaled_;  // [rows * 48, columns * 48, 3]
};

// One still picture at once. Throws as VisionPatcher does.
VisionPatches vision_patches(const ImageView& picture, std::size_t soft_tokens_max);

}  // namespace captiond
