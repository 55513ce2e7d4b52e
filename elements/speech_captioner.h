#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elements/audio_patch.h"
#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/caption_ports.h"
#include "elements/caption_prompt.h"
#include "elements/segmenter.h"
#include "elements/speech_segment.h"
#include "elements/stable_prefix.h"
#include "elements/voice_activity.h"
#include "model/engine.h"

namespace captiond {

struct SpeechOptions {
  SegmenterOptions segmenter;
  VoiceActivityMode voice_activity = VoiceActivityMode::kAuto;
  StreamTime partial_interval = std::chrono::milliseconds(500);  // 0: no partials
  std::size_t hold_back_words = 2;                               // >= 1
  std::size_t tokens_per_second_max = 10;                        // >= 1
  std::string language = "en";                                   // a code of language.h
  std::vector<std::string> translations;                         // codes, other than `language`
};

// Turns patches of speech into transcripts, by stream time alone. One thread; never waits.
//
// One Context holds the prompt before the audio. A segment is a fork of it, to which patches are
// appended as they come. Each partial_interval of the segment's audio that context is forked, the
// turn closed, the stable text put in as the beginning of the answer, the rest of the last
// hypothesis given as a draft, the remainder decoded, the fork thrown away. The final does the same
// on the segment's own context, so every final begins with what was promised; translations are
// forks of it. A text of n seconds has at most 16 + tokens_per_second_max * n tokens.
//
// A source that can wait (live == false) is held back while any request is in flight: accepts()
// says so, and the same patches then give the same events at any speed. A live source is not: a
// partial that is due while another request is in flight is skipped and counted, and only when four
// segments wait for their finals is audio refused.
//
// Errors (RequestError, a failed engine) are thrown by whichever call meets them, closures given to
// CaptionPorts::post included; the captioner is then unusable. Running out of KV while making a
// partial only skips the partial.
class SpeechCaptioner {
 public:
  using Item = AudioPatch;

  // Throws std::invalid_argument, one sentence, for options out of range or an engine that cannot
  // hear, CheckpointError for a checkpoint without the chat format. `counters` must outlive the
  // captioner.
  SpeechCaptioner(std::shared_ptr<Engine> engine, const SpeechOptions& options, CaptionPorts ports,
                  CaptionCounters& counters);

  void set_live(bool live) { live_ = live; }

  // The next patch; only while accepts(). A patch that does not follow the last one ends the open
  // segment first.
  void take(const AudioPatch& patch);
  // `count` patches from `first` on were given up because nobody took them in time.
  void lost(const AudioPatch& first, std::size_t count);
  // The stream ends here: finals of what is open follow. What is taken next may have any time.
  void finish();
  // Forgets everything that was heard and asked; nothing more is told about it. Upstream's last
  // word on voice activity stays, because upstream tells only changes.
  void reset();

  bool accepts() const { return actions_.empty() && may_go_on(); }
  bool idle() const { return actions_.empty() && !partial_ && closing_.empty(); }
  const VoiceActivity& voice_activity() const { return voice_activity_; }

 private:
  bool may_go_on() const;
  void go_on();
  void plan(const std::vector<SegmentAction>& actions);
  void act(const SegmentAction& action);
  void begin_segment(StreamTime start);
  void add_audio(const AudioPatch& patch);
  void end_segment(const SegmentEnd& end);
  void append_pending();
  void ask_partial();
  void answer_partial(std::uint64_t request, Generation generation, std::exception_ptr error);
  void tell_partial(const PartialRequest& partial, const std::vector<TokenId>& tokens,
                    bool truncated);
  void answer_final(std::uint64_t request, Generation generation, std::exception_ptr error);
  void ask_translations(ClosingSegment& closing, const std::vector<TokenId>& transcript);
  void answer_translation(std::uint64_t request, Generation generation, std::exception_ptr error);
  void tell_finals();
  void tell_final(ClosingSegment& closing);
  void tell_translations();
  void tell_silence(StreamTime least);
  GenerateOptions generate_options(std::size_t patches, std::size_t already, StreamTime time) const;
  std::size_t token_bound(std::size_t patches) const;
  std::vector<TokenId> answer_begin(const SpeechSegment& segment) const;
  void count(const Generation& generation);

  using Answer = void (SpeechCaptioner::*)(std::uint64_t, Generation, std::exception_ptr);
  std::uint64_t ask(Context& context, GenerateOptions options, Answer answer);

  const std::shared_ptr<Engine> engine_;
  const SpeechOptions options_;
  const CaptionPorts ports_;
  CaptionCounters& counters_;
  const CaptionPrompt prompt_;
  const std::unique_ptr<Context> prompt_context_;  // what every segment begins with
  bool live_ = false;

  VoiceActivity voice_activity_;
  Segmenter segmenter_;
  std::deque<SegmentAction> actions_;     // decided, but an answer must come first
  std::optional<SpeechSegment> segment_;  // the open one
  std::optional<PartialRequest> partial_;
  std::deque<ClosingSegment> closing_;  // oldest first
  std::uint64_t segments_begun_ = 0;
  std::uint64_t requests_ = 0;

  std::optional<StreamTime> expected_;  // start of the next patch if nothing is missing
  bool timeline_open_ = false;
  StreamTime quiet_until_{};  // no segment begins before this
  StreamTime told_until_{};   // by finals and silences
};

}  // namespace captiond
