#include "elements/scene_frames.h"

#include <algorithm>
#include <utility>

#include "model/check.h"

namespace captiond {

bool SceneFrames::see(StreamTime time) {
  if (origin_ && time < seen_) forget();
  const bool first = !origin_;
  if (first) origin_ = time;
  std::erase_if(frames_, [&](const SceneFrame& frame) { return time - frame.time > span(); });
  seen_ = time;
  const std::int64_t last = std::exchange(slot_, slot_of(time));
  return first || slot_ > last;
}

void SceneFrames::keep(SceneFrame frame) {
  check(origin_ && frame.time == seen_, "the frame that is kept is of the picture seen last");
  if (frames_.size() == count_) frames_.erase(frames_.begin());
  frames_.push_back(std::move(frame));
}

std::span<const SceneFrame> SceneFrames::before(StreamTime due) const {
  const auto end = std::find_if(frames_.begin(), frames_.end(), [&](const SceneFrame& frame) {
    return 2 * (due - frame.time) < distance_;
  });
  const auto usable = static_cast<std::size_t>(end - frames_.begin());
  const std::size_t wanted = std::min(usable, count_ - 1);
  return std::span(frames_).subspan(usable - wanted, wanted);
}

StreamTime SceneFrames::clock_start(StreamTime first) const {
  return *origin_ + slot_of(first) * distance_;
}

void SceneFrames::forget() {
  origin_.reset();
  frames_.clear();
}

}  // namespace captiond
