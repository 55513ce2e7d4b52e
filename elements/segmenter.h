#pragma once

#include <cstddef>
#include <deque>
#include <variant>
#include <vector>

#include "elements/audio_patch.h"

namespace captiond {

// Rounded up to whole patches of 40 ms.
struct SegmenterOptions {
  StreamTime lead_in = std::chrono::milliseconds(200);   // kept before the first speech
  StreamTime lead_out = std::chrono::milliseconds(200);  // kept after the last; <= endpoint_silence
  StreamTime endpoint_silence = std::chrono::milliseconds(600);  // ends a segment; >= 1 patch
  StreamTime segment_max = std::chrono::seconds(15);             // 1 s … 15 s
  StreamTime min_speech = std::chrono::milliseconds(120);        // less is a blip; >= 1 patch
};

struct SegmentBegin {
  StreamTime start;
};
// One more patch of the open segment.
struct SegmentAudio {
  AudioPatch patch;
};
// The open segment ends before its patch number `patches`, counted from 0 at its begin. After a cut
// that is less than the patches given: the later ones begin the next segment and come again there.
struct SegmentEnd {
  std::size_t patches = 0;
  StreamTime end{};  // of its last patch
  bool cut = false;  // by segment_max
};
// Speech shorter than min_speech was left out.
struct BlipDropped {};
// No segment will begin before `until`.
struct NoSpeech {
  StreamTime until;
};
using SegmentAction = std::variant<SegmentBegin, SegmentAudio, SegmentEnd, BlipDropped, NoSpeech>;

// Cuts a stream of patches with voice flags into segments of speech. A pure function of what it is
// given, patch by patch; holds at most a few seconds of audio. One owner.
//
// A segment begins lead_in before its first speech, once min_speech of speech was heard. Up to
// lead_out of a pause is passed on at once, the rest is held back until speech goes on (and is then
// passed on too) or the pause has lasted endpoint_silence: then the segment ends lead_out after its
// last speech. At segment_max it is cut at the quietest point of its last 3 s (of its last
// third, if shorter):
// in a pause if there is one, else where the loudest of three neighbouring patches is least.
class Segmenter {
 public:
  // Throws std::invalid_argument, one sentence, for options outside their ranges.
  explicit Segmenter(const SegmenterOptions& options);

  // `patch` follows the previous one without a gap. Actions in order.
  std::vector<SegmentAction> hear(const AudioPatch& patch, bool voice);

  // The stream ends or jumps here: ends the open segment; the next patch may have any time.
  std::vector<SegmentAction> finish();

  // A cut never falls before this many patches of a segment.
  std::size_t patches_never_cut() const { return max_patches_ - cut_patches_; }

 private:
  enum class State { kQuiet, kBlip, kOpen };
  struct Heard {
    AudioPatch patch;
    bool voice = false;
    double loudness = 0;
  };

  void hear_quiet(const Heard& heard);
  void hear_blip(const Heard& heard);
  void hear_open(const Heard& heard);
  void drop_blip();
  void open();
  void give(const Heard& heard);
  void cut();
  std::size_t quietest() const;
  void end(bool by_pause);
  void rest(std::deque<Heard> last);
  StreamTime earliest_begin() const;

  const std::size_t lead_in_patches_;
  const std::size_t lead_out_patches_;
  const std::size_t endpoint_patches_;
  const std::size_t max_patches_;
  const std::size_t cut_patches_;
  const std::size_t min_speech_patches_;

  State state_ = State::kQuiet;
  std::deque<Heard> waiting_;  // kQuiet: lead-in; kBlip: all since then; kOpen: the held-back pause
  std::size_t voiced_ = 0;     // kBlip: patches with speech
  std::size_t pause_ = 0;      // kBlip, kOpen: patches since the last speech
  std::size_t given_ = 0;      // kOpen: patches of this segment
  std::deque<Heard> recent_;   // kOpen: the last patches given, cut_patches_ at most
  bool heard_ = false;         // anything since the last finish()
  StreamTime heard_until_{};
  std::vector<SegmentAction> actions_;
};

}  // namespace captiond
