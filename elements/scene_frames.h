#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "elements/caption_event.h"
#include "model/vision_patches.h"

namespace captiond {

// A picture of a video, scaled.
struct SceneFrame {
  StreamTime time{};
  VisionPatches patches;
};

// The frames of the last seconds that a description may show as a video, chosen by stream time
// alone. From the first picture on, time is cut into slots of `distance`; the first picture of a
// slot is its frame. Slots do not drift, so frames that come a little late do not push the others
// back. At most `count` frames are kept, none older than span(). One thread.
class SceneFrames {
 public:
  // `count` >= 1 frames of one description, the due picture included; `distance` > 0.
  SceneFrames(std::size_t count, StreamTime distance) : count_(count), distance_(distance) {}

  // How far back a description looks: count * distance.
  StreamTime span() const { return distance_ * static_cast<StreamTime::rep>(count_); }

  // A picture of this time has come: what it leaves too far behind is forgotten, everything if time
  // goes backwards. True: it is the first of its slot, see keep().
  bool see(StreamTime time);

  // The frame of the picture seen last.
  void keep(SceneFrame frame);

  // The frames that come before the picture due at `due`, oldest first: the last count - 1 of those
  // kept. One that is nearer to it than half of `distance` gives way to it. Valid until the next
  // call that changes anything.
  std::span<const SceneFrame> before(StreamTime due) const;

  // Where the clock of a video stands at 0 that begins with a frame of this time: at the start of
  // its slot, so that the frames of consecutive slots of a second are a second apart.
  StreamTime clock_start(StreamTime first) const;

  void forget();

 private:
  std::int64_t slot_of(StreamTime time) const { return (time - *origin_) / distance_; }

  const std::size_t count_;
  const StreamTime distance_;
  std::optional<StreamTime> origin_;  // start of slot 0
  StreamTime seen_{};                 // time of the last picture; since origin_
  std::int64_t slot_ = 0;             // of it
  std::vector<SceneFrame> frames_;    // oldest first
};

}  // namespace captiond
