#include "model/input_history.h"

#include <algorithm>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

constexpr TokenId kNotAnId = -1;

}  // namespace

void InputHistory::append_ids(std::span<const TokenId> ids) {
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

void InputHistory::append_audio(std::shared_ptr<const AudioPatches> patches, std::size_t first,
                                std::size_t count) {
  check(first + count <= patches->count(), "audio history lies within its patches");
  audio_.push_back(
      {.first = length(), .count = count, .patch = first, .patches = std::move(patches)});
  ids_.resize(ids_.size() + count, kNotAnId);
}

void InputHistory::append_picture(const VisionPatches& picture) {
  const std::size_t first = length();
  const auto last =
      picture.pixels.end() - static_cast<std::ptrdiff_t>(VisionPatches::kBytesPerPatch);
  pictures_.push_back({.block = {.first = first, .end = first + picture.count()},
                       .columns = picture.columns,
                       .last_patch = std::vector<std::uint8_t>(last, picture.pixels.end())});
  ids_.resize(ids_.size() + picture.count(), kNotAnId);
}

void InputHistory::truncate(std::size_t length) {
  check(length <= ids_.size(), "a sequence is truncated to an earlier length");
  check(!block_across(length), "a sequence is not truncated inside a picture");
  ids_.resize(length);
  while (!audio_.empty() && audio_.back().first >= length) audio_.pop_back();
  if (!audio_.empty()) {
    audio_.back().count = std::min(audio_.back().count, length - audio_.back().first);
  }
  while (!pictures_.empty() && pictures_.back().block.end > length) pictures_.pop_back();
}

void InputHistory::release_before(std::size_t position) {
  while (!audio_.empty() && audio_.front().first + audio_.front().count <= position) {
    audio_.pop_front();
  }
}

StepSlice InputHistory::last_row() const {
  check(!ids_.empty(), "an empty sequence has no last position");
  const std::size_t position = length() - 1;
  StepSlice slice{.first_position = position,
                  .count = 1,
                  .rows = IdRows{},
                  .block_first = position,
                  .block_end = position,
                  .pages = {}};
  if (ids_.back() != kNotAnId) {
    slice.rows = IdRows{.ids = {ids_.back()}};
    return slice;
  }
  if (!pictures_.empty() && pictures_.back().block.end == length()) {
    const Picture& picture = pictures_.back();
    slice.block_first = picture.block.first;
    slice.block_end = picture.block.end;
    slice.rows = PictureRows{.pixels = picture.last_patch,
                             .first_patch = position - picture.block.first,
                             .columns = picture.columns};
    return slice;
  }
  check(!audio_.empty() && audio_.back().first + audio_.back().count == length(),
        "the last position is an id, audio or a picture");
  const Audio& audio = audio_.back();
  const std::size_t patch = audio.patch + (position - audio.first);
  slice.rows = AudioRows{.samples = std::span(audio.patches->samples)
                                        .subspan(patch * AudioPatches::kSamplesPerPatch,
                                                 AudioPatches::kSamplesPerPatch)};
  return slice;
}

std::optional<InputHistory::Block> InputHistory::block_across(std::size_t length) const {
  for (const Picture& picture : pictures_) {
    if (picture.block.first < length && length < picture.block.end) return picture.block;
  }
  return std::nullopt;
}

std::optional<std::size_t> InputHistory::first_of_block_ending_after(std::size_t position) const {
  for (const Picture& picture : pictures_) {
    if (picture.block.end > position) return picture.block.first;
  }
  return std::nullopt;
}

}  // namespace captiond
