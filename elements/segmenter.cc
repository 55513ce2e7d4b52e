#include "elements/segmenter.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

using std::chrono::seconds;

constexpr StreamTime kSegmentMaxLeast = seconds(1);
constexpr StreamTime kSegmentMaxMost = seconds(15);
constexpr StreamTime kCutWindow = seconds(3);

std::string milliseconds_of(StreamTime time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
         " ms";
}

const SegmenterOptions& checked(const SegmenterOptions& o) {
  const auto refuse = [](const std::string& sentence) { throw std::invalid_argument(sentence); };
  if (o.segment_max < kSegmentMaxLeast || o.segment_max > kSegmentMaxMost) {
    refuse("segment-max is " + milliseconds_of(o.segment_max) + ", it must lie between " +
           milliseconds_of(kSegmentMaxLeast) + " and " + milliseconds_of(kSegmentMaxMost) + ".");
  }
  if (o.endpoint_silence < kPatchDuration) {
    refuse("endpoint-silence is " + milliseconds_of(o.endpoint_silence) +
           ", it must be at least one patch, " + milliseconds_of(kPatchDuration) + ".");
  }
  if (o.lead_out < StreamTime::zero() || o.lead_out > o.endpoint_silence) {
    refuse("lead-out is " + milliseconds_of(o.lead_out) +
           ", it must lie between 0 ms and endpoint-silence, which is " +
           milliseconds_of(o.endpoint_silence) + ".");
  }
  if (o.lead_in < StreamTime::zero() || o.lead_in > seconds(1)) {
    refuse("lead-in is " + milliseconds_of(o.lead_in) + ", it must lie between 0 ms and 1000 ms.");
  }
  if (o.min_speech < kPatchDuration || o.min_speech > std::chrono::milliseconds(500)) {
    refuse("min-speech is " + milliseconds_of(o.min_speech) + ", it must lie between " +
           milliseconds_of(kPatchDuration) + " and 500 ms.");
  }
  return o;
}

}  // namespace

// Three seconds for segments of 9 s and more, a third of shorter ones.
Segmenter::Segmenter(const SegmenterOptions& options)
    : lead_in_patches_(patches_covering(checked(options).lead_in)),
      lead_out_patches_(patches_covering(options.lead_out)),
      endpoint_patches_(patches_covering(options.endpoint_silence)),
      max_patches_(patches_covering(options.segment_max)),
      cut_patches_(patches_covering(std::min(kCutWindow, options.segment_max / 3))),
      min_speech_patches_(patches_covering(options.min_speech)) {}

std::vector<SegmentAction> Segmenter::hear(const AudioPatch& patch, bool voice) {
  const Heard heard{patch, voice, mean_square(patch)};
  heard_ = true;
  heard_until_ = patch.start + kPatchDuration;
  switch (state_) {
    case State::kQuiet:
      hear_quiet(heard);
      break;
    case State::kBlip:
      hear_blip(heard);
      break;
    case State::kOpen:
      hear_open(heard);
      break;
  }
  return std::exchange(actions_, {});
}

void Segmenter::hear_quiet(const Heard& heard) {
  if (heard.voice) {
    state_ = State::kBlip;
    voiced_ = 0;
    hear_blip(heard);
    return;
  }
  waiting_.push_back(heard);
  if (waiting_.size() > lead_in_patches_) waiting_.pop_front();
  actions_.push_back(NoSpeech{earliest_begin()});
}

void Segmenter::hear_blip(const Heard& heard) {
  pause_ = heard.voice ? 0 : pause_ + 1;
  voiced_ += heard.voice ? 1 : 0;
  waiting_.push_back(heard);
  if (voiced_ >= min_speech_patches_) {
    open();
  } else if (pause_ >= endpoint_patches_) {
    drop_blip();
  }
}

// A cut may leave a tail without any speech: that is no blip.
void Segmenter::drop_blip() {
  if (voiced_ > 0) actions_.push_back(BlipDropped{});
  rest(std::move(waiting_));
}

// Everything that waits, the lead-in included, becomes the segment.
void Segmenter::open() {
  state_ = State::kOpen;
  given_ = 0;
  recent_.clear();
  actions_.push_back(SegmentBegin{waiting_.front().patch.start});
  const std::deque<Heard> first = std::exchange(waiting_, {});
  for (const Heard& heard : first) give(heard);
}

void Segmenter::hear_open(const Heard& heard) {
  pause_ = heard.voice ? 0 : pause_ + 1;
  if (pause_ > lead_out_patches_) {
    waiting_.push_back(heard);
    if (pause_ >= endpoint_patches_) end(/*by_pause=*/true);
    return;
  }
  if (pause_ == endpoint_patches_) {  // lead_out == endpoint_silence: nothing is ever held back
    give(heard);
    if (state_ == State::kOpen) end(/*by_pause=*/true);
    return;
  }
  std::deque<Heard> held = std::exchange(waiting_, {});
  held.push_back(heard);
  const std::size_t pause = pause_;
  for (const Heard& each : held) {
    if (state_ == State::kOpen) {
      give(each);
    } else {  // cut on the way, and the tail has too little speech for a segment yet
      hear_blip(each);
    }
  }
  pause_ = pause;
}

void Segmenter::give(const Heard& heard) {
  actions_.push_back(SegmentAudio{heard.patch});
  recent_.push_back(heard);
  if (recent_.size() > cut_patches_) recent_.pop_front();
  ++given_;
  if (given_ == max_patches_) cut();
}

// The patches from the quietest one on wait again, as if speech had just begun there.
void Segmenter::cut() {
  const std::size_t first = quietest();
  actions_.push_back(
      SegmentEnd{given_ - (recent_.size() - first), recent_[first].patch.start, true});
  const std::deque<Heard> tail(recent_.begin() + std::ptrdiff_t(first), recent_.end());
  state_ = State::kBlip;
  voiced_ = 0;
  waiting_.clear();
  recent_.clear();
  std::size_t pause = 0;
  for (const Heard& heard : tail) {
    pause = heard.voice ? 0 : pause + 1;
    voiced_ += heard.voice ? 1 : 0;
    waiting_.push_back(heard);
  }
  pause_ = pause;
  if (voiced_ >= min_speech_patches_) open();
}

// Index into recent_, never 0: the end of one segment is the begin of the next, and both need
// audio. Of equally quiet patches the last.
std::size_t Segmenter::quietest() const {
  check(recent_.size() >= 2, "a cut needs two patches to choose from");
  const auto key = [this](std::size_t i) {
    double around = 0;
    const std::size_t last = std::min(i + 1, recent_.size() - 1);
    for (std::size_t j = i - 1; j <= last; ++j) around = std::max(around, recent_[j].loudness);
    return std::make_tuple(recent_[i].voice, around);
  };
  std::size_t best = 1;
  for (std::size_t i = 2; i < recent_.size(); ++i) {
    if (key(i) <= key(best)) best = i;
  }
  return best;
}

void Segmenter::end(bool by_pause) {
  actions_.push_back(SegmentEnd{given_, recent_.back().patch.start + kPatchDuration, false});
  if (by_pause) rest(std::move(waiting_));
}

// Back to quiet, where the end of `last` is the next segment's possible lead-in.
void Segmenter::rest(std::deque<Heard> last) {
  while (last.size() > lead_in_patches_) last.pop_front();
  state_ = State::kQuiet;
  waiting_ = std::move(last);
  recent_.clear();
  pause_ = 0;
  actions_.push_back(NoSpeech{earliest_begin()});
}

StreamTime Segmenter::earliest_begin() const {
  return waiting_.empty() ? heard_until_ : waiting_.front().patch.start;
}

std::vector<SegmentAction> Segmenter::finish() {
  if (!std::exchange(heard_, false)) return {};
  if (state_ == State::kOpen) end(/*by_pause=*/false);
  if (state_ == State::kBlip) drop_blip();
  rest({});
  return std::exchange(actions_, {});
}

}  // namespace captiond
