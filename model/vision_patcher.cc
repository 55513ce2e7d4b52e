#include "model/vision_patcher.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "model/check.h"

namespace captiond {
namespace {

constexpr std::array<std::size_t, 5> kBudgets{70, 140, 280, 560, 1120};

std::string text(ImageSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

// Whole patches that fit a side of `pixels` after scaling by `factor`.
std::size_t whole_patches(double factor, std::size_t pixels) {
  constexpr auto kSide = static_cast<double>(VisionPatches::kSide);
  return static_cast<std::size_t>(std::floor(factor * static_cast<double>(pixels) / kSide));
}

}  // namespace

std::span<const std::size_t> vision_budgets() { return kBudgets; }

bool is_vision_budget(std::size_t soft_tokens_max) {
  return std::find(kBudgets.begin(), kBudgets.end(), soft_tokens_max) != kBudgets.end();
}

void require_vision_budget(std::size_t soft_tokens_max) {
  if (is_vision_budget(soft_tokens_max)) return;
  std::string allowed;
  for (const std::size_t budget : kBudgets) {
    allowed += (allowed.empty() ? "" : ", ") + std::to_string(budget);
  }
  throw std::invalid_argument("a picture's budget must be one of " + allowed +
                              " soft tokens, not " + std::to_string(soft_tokens_max));
}

PatchGrid target_grid(ImageSize picture, std::size_t soft_tokens_max) {
  require_vision_budget(soft_tokens_max);
  for (const std::size_t side : {picture.width, picture.height}) {
    if (side == 0 || side > ImageResizer::kSideMax) {
      throw std::invalid_argument("a picture of " + text(picture) +
                                  " pixels cannot be cut to patches: each side must be 1 to " +
                                  std::to_string(ImageResizer::kSideMax) + " pixels");
    }
  }
  const auto pixels_max =
      static_cast<double>(soft_tokens_max * VisionPatches::kSide * VisionPatches::kSide);
  const double factor = std::sqrt(pixels_max / static_cast<double>(picture.width * picture.height));
  PatchGrid grid{.columns = whole_patches(factor, picture.width),
                 .rows = whole_patches(factor, picture.height)};
  // A strip thinner than a patch is drawn one patch thick, its length from the ratio of its sides.
  // Not both can be: the scaled picture has the area of at least 70 patches.
  check(grid.columns > 0 || grid.rows > 0, "a picture scaled to its budget is wider than a patch");
  if (grid.rows == 0) {
    grid = {.columns = std::min(picture.width / picture.height, soft_tokens_max), .rows = 1};
  } else if (grid.columns == 0) {
    grid = {.columns = 1, .rows = std::min(picture.height / picture.width, soft_tokens_max)};
  }
  check(grid.count() > 0 && grid.count() <= soft_tokens_max, "a patch grid fits its budget");
  return grid;
}

VisionPatcher::VisionPatcher(ImageSize picture, std::size_t soft_tokens_max)
    : grid_(target_grid(picture, soft_tokens_max)),
      resizer_(picture, grid_.pixels()),
      scaled_(grid_.bytes()) {}

void VisionPatcher::patch(const ImageView& picture, std::span<std::uint8_t> out) {
  if (out.size() != grid_.bytes()) {
    throw std::invalid_argument(std::to_string(grid_.columns) + "x" + std::to_string(grid_.rows) +
                                " patches need " + std::to_string(grid_.bytes()) +
                                " bytes, the output has " + std::to_string(out.size()));
  }
  resizer_.resize(picture, scaled_);
  constexpr std::size_t kPatchRow = VisionPatches::kSide * 3;
  const std::uint8_t* from = scaled_.data();
  for (std::size_t y = 0; y < grid_.rows * VisionPatches::kSide; ++y) {
    const std::size_t first_patch = y / VisionPatches::kSide * grid_.columns;
    const std::size_t row_in_patch = y % VisionPatches::kSide * kPatchRow;
    for (std::size_t column = 0; column < grid_.columns; ++column, from += kPatchRow) {
      std::copy_n(
          from, kPatchRow,
          out.data() + (first_patch + column) * VisionPatches::kBytesPerPatch + row_in_patch);
    }
  }
}

VisionPatches vision_patches(const ImageView& picture, std::size_t soft_tokens_max) {
  VisionPatcher patcher(picture.size, soft_tokens_max);
  VisionPatches patches;
  patches.rows = patcher.grid().rows;
  patches.columns = patcher.grid().columns;
  patches.pixels.resize(patcher.grid().bytes());
  patcher.patch(picture, patches.pixels);
  return patches;
}

}  // namespace captiond
