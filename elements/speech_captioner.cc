#include "elements/speech_captioner.h"

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "elements/caption_text.h"
#include "elements/language.h"
#include "model/check.h"

namespace captiond {
namespace {

// Appending patch by patch would read all weights once a patch; half a second together costs one
// step and delays nothing, because nothing is asked in between.
constexpr std::size_t kAppendPatches = patches_covering(std::chrono::milliseconds(500));
constexpr std::size_t kClosingMax = 4;  // live: segments that may wait for their finals
// How soon a live stream wants its answers: finals before partials, which are worth nothing once
// the next is due.
constexpr StreamTime kFinalTime = std::chrono::milliseconds(100);
constexpr StreamTime kTranslationTime = std::chrono::milliseconds(500);
constexpr std::size_t kTokensAtLeast = 16;  // of any text, however short the audio
// A silence is told in steps of this, at ends of streams and begins of segments in any length.
constexpr StreamTime kSilenceStep = std::chrono::milliseconds(500);

SpeechOptions checked(SpeechOptions o) {
  if (o.partial_interval < StreamTime::zero()) {
    throw std::invalid_argument(
        "partial-interval is negative, it must be 0 (no partials) or more.");
  }
  if (o.hold_back_words < 1) {
    throw std::invalid_argument("hold-back-words is 0, it must be at least 1.");
  }
  if (o.tokens_per_second_max < 1) {
    throw std::invalid_argument("tokens-per-second-max is 0, it must be at least 1.");
  }
  for (std::size_t i = 0; i < o.translations.size(); ++i) {
    language_name(o.translations[i]);
    const auto others = o.translations.begin() + static_cast<std::ptrdiff_t>(i);
    if (o.translations[i] == o.language ||
        std::find(o.translations.begin(), others, o.translations[i]) != others) {
      throw std::invalid_argument("A translation into '" + o.translations[i] +
                                  "' is asked for twice, or is the language spoken.");
    }
  }
  return o;
}

}  // namespace

SpeechCaptioner::SpeechCaptioner(std::shared_ptr<Engine> engine, const SpeechOptions& options,
                                 CaptionPorts ports, CaptionCounters& counters)
    : engine_(std::move(engine)),
      options_(checked(options)),
      ports_(std::move(ports)),
      counters_(counters),
      prompt_(transcription_question(engine_->tokenizer(), engine_->config(),
                                     language_name(options_.language))),
      prompt_context_(engine_->new_context()),
      voice_activity_(options_.voice_activity),
      segmenter_(options_.segmenter) {
  prompt_context_->append(prompt_.before);
}

void SpeechCaptioner::take(const AudioPatch& patch) {
  check(accepts(), "a captioner takes audio only while it accepts it");
  if (!timeline_open_) {
    timeline_open_ = true;
    quiet_until_ = told_until_ = patch.start;
  } else if (const StreamTime jump = patch.start - *expected_;
             jump > kPatchDuration / 2 || jump < -kPatchDuration / 2) {
    plan(segmenter_.finish());
  }
  expected_ = patch.start + kPatchDuration;
  const bool voice = voice_activity_.hear(patch);
  plan(segmenter_.hear(patch, voice));
  go_on();
}

void SpeechCaptioner::lost(const AudioPatch& first, std::size_t count) {
  counters_.dropped += count;
  ports_.emit(LossEvent{first.start, first.start + duration_of(count)});
}

void SpeechCaptioner::finish() {
  plan(segmenter_.finish());
  timeline_open_ = false;
  go_on();
}

void SpeechCaptioner::reset() {
  static_cast<void>(segmenter_.finish());
  actions_.clear();
  segment_.reset();
  partial_.reset();
  closing_.clear();
  timeline_open_ = false;
  quiet_until_ = told_until_ = StreamTime::zero();
}

void SpeechCaptioner::plan(const std::vector<SegmentAction>& actions) {
  actions_.insert(actions_.end(), actions.begin(), actions.end());
}

bool SpeechCaptioner::may_go_on() const {
  return live_ ? closing_.size() < kClosingMax : !partial_ && closing_.empty();
}

void SpeechCaptioner::go_on() {
  while (!actions_.empty() && may_go_on()) {
    const SegmentAction action = actions_.front();
    actions_.pop_front();
    act(action);
  }
  if (closing_.empty()) tell_silence(timeline_open_ ? kSilenceStep : StreamTime(1));
}

void SpeechCaptioner::act(const SegmentAction& action) {
  if (const auto* begin = std::get_if<SegmentBegin>(&action)) {
    begin_segment(begin->start);
  } else if (const auto* audio = std::get_if<SegmentAudio>(&action)) {
    add_audio(audio->patch);
  } else if (const auto* end = std::get_if<SegmentEnd>(&action)) {
    end_segment(*end);
  } else if (std::holds_alternative<BlipDropped>(action)) {
    ++counters_.blips;
  } else if (const auto* quiet = std::get_if<NoSpeech>(&action)) {
    quiet_until_ = std::max(quiet_until_, quiet->until);
  }
}

void SpeechCaptioner::begin_segment(StreamTime start) {
  quiet_until_ = std::max(quiet_until_, start);
  if (closing_.empty()) tell_silence(StreamTime(1));
  SpeechSegment& segment = segment_.emplace(segments_begun_++, start, options_.hold_back_words);
  segment.context = prompt_context_->fork();
  segment.next_partial = patches_covering(options_.partial_interval);
}

void SpeechCaptioner::add_audio(const AudioPatch& patch) {
  SpeechSegment& segment = *segment_;
  segment.pending.samples.insert(segment.pending.samples.end(), patch.samples.begin(),
                                 patch.samples.end());
  segment.end = patch.start + kPatchDuration;
  if (options_.partial_interval > StreamTime::zero() && segment.patches() >= segment.next_partial) {
    const auto done =
        static_cast<StreamTime::rep>(duration_of(segment.patches()) / options_.partial_interval);
    segment.next_partial = patches_covering((done + 1) * options_.partial_interval);
    if (partial_ || !closing_.empty()) {
      ++counters_.partials_skipped;
    } else {
      ask_partial();
    }
  }
  if (segment.pending.count() >= kAppendPatches) append_pending();
}

void SpeechCaptioner::append_pending() {
  SpeechSegment& segment = *segment_;
  if (segment.pending.count() == 0) return;
  segment.context->append(segment.pending);
  segment.appended += segment.pending.count();
  segment.pending.samples.clear();
}

// The end of the question and of the answer what was promised already.
std::vector<TokenId> SpeechCaptioner::answer_begin(const SpeechSegment& segment) const {
  std::vector<TokenId> ids = prompt_.after;
  ids.insert(ids.end(), segment.stable.tokens().begin(), segment.stable.tokens().end());
  return ids;
}

std::size_t SpeechCaptioner::token_bound(std::size_t patches) const {
  const std::size_t milliseconds = patches * 40;
  return kTokensAtLeast + (milliseconds * options_.tokens_per_second_max + 999) / 1000;
}

// For the text of `patches` patches of which `already` tokens stand, wanted within `time` if the
// stream is live. The clock only orders the requests of streams; results do not depend on it.
GenerateOptions SpeechCaptioner::generate_options(std::size_t patches, std::size_t already,
                                                  StreamTime time) const {
  const std::size_t bound = token_bound(patches);
  check(already < bound, "the stable text is shorter than the bound of its segment");
  GenerateOptions options;
  options.max_tokens = bound - already;
  if (live_) options.deadline = std::chrono::steady_clock::now() + time;
  return options;
}

std::uint64_t SpeechCaptioner::ask(Context& context, GenerateOptions options, Answer answer) {
  const std::uint64_t request = ++requests_;
  context.generate(std::move(options), [this, post = ports_.post, answer, request](
                                           Generation generation, std::exception_ptr error) {
    post([this, answer, request, generation = std::move(generation),
          error = std::move(error)]() mutable {
      (this->*answer)(request, std::move(generation), std::move(error));
    });
  });
  return request;
}

void SpeechCaptioner::count(const Generation& generation) {
  if (generation.stop == StopReason::kCancelled) {
    throw std::runtime_error("The engine stopped before it had answered.");
  }
  counters_.tokens += generation.tokens.size();
  counters_.draft_accepted += generation.draft_accepted;
}

void SpeechCaptioner::ask_partial() {
  append_pending();
  SpeechSegment& segment = *segment_;
  PartialRequest& partial = partial_.emplace();
  partial.patches = segment.patches();
  partial.end = segment.end;
  partial.context = segment.context->fork();
  partial.context->append(answer_begin(segment));
  GenerateOptions options =
      generate_options(partial.patches, segment.stable.tokens().size(), options_.partial_interval);
  options.draft.assign(segment.stable.rest().begin(), segment.stable.rest().end());
  partial.request = ask(*partial.context, std::move(options), &SpeechCaptioner::answer_partial);
}

void SpeechCaptioner::answer_partial(std::uint64_t request, Generation generation,
                                     std::exception_ptr error) {
  if (!partial_ || partial_->request != request) return;  // its segment has ended since
  const PartialRequest partial = std::move(*partial_);
  partial_.reset();
  bool exhausted = false;
  try {
    if (error) std::rethrow_exception(error);
  } catch (const KvExhausted&) {
    exhausted = true;
  }
  if (exhausted) {
    ++counters_.partials_skipped;
  } else {
    count(generation);
    ++counters_.partials;
    SpeechSegment& segment = *segment_;
    std::vector<TokenId> tokens(segment.stable.tokens().begin(), segment.stable.tokens().end());
    tokens.insert(tokens.end(), generation.tokens.begin(), generation.tokens.end());
    const bool truncated = generation.stop == StopReason::kMaxTokens;
    // Two runaway repetitions agree with each other, but promise nothing. And what may come to lie
    // behind a cut would be said again in the next segment.
    if (!truncated) {
      segment.stable.observe(make_hypothesis(engine_->tokenizer(), tokens),
                             partial.patches <= segmenter_.patches_never_cut());
    }
    tell_partial(partial, tokens, truncated);
  }
  go_on();
}

void SpeechCaptioner::tell_partial(const PartialRequest& partial,
                                   const std::vector<TokenId>& tokens, bool truncated) {
  SpeechSegment& segment = *segment_;
  const Tokenizer& tokenizer = engine_->tokenizer();
  TranscriptEvent event;
  event.text = caption_text(tokenizer, tokens);
  event.stable_length = caption_text(tokenizer, segment.stable.tokens()).size();
  if (event.text == segment.told_text && event.stable_length == segment.told_stable) return;
  segment.told_text = event.text;
  segment.told_stable = event.stable_length;
  event.segment = segment.number;
  event.revision = segment.revision++;
  event.language = options_.language;
  event.start = segment.start;
  event.end = partial.end;
  event.truncated = truncated;
  ports_.emit(std::move(event));
}

void SpeechCaptioner::end_segment(const SegmentEnd& end) {
  partial_.reset();
  SpeechSegment& segment = *segment_;
  check(end.patches > 0 && end.patches <= segment.patches(), "a segment ends inside its audio");
  if (end.patches >= segment.appended) {
    segment.pending.samples.resize((end.patches - segment.appended) *
                                   AudioPatches::kSamplesPerPatch);
  } else {
    segment.context->truncate(prompt_.before.size() + end.patches);
    segment.appended = end.patches;
    segment.pending.samples.clear();
  }
  append_pending();
  segment.end = end.end;
  ClosingSegment& closing = closing_.emplace_back(std::move(segment));
  segment_.reset();
  const StablePrefix& stable = closing.segment.stable;
  closing.segment.context->append(answer_begin(closing.segment));
  GenerateOptions options = generate_options(end.patches, stable.tokens().size(), kFinalTime);
  options.draft.assign(stable.rest().begin(), stable.rest().end());
  closing.request =
      ask(*closing.segment.context, std::move(options), &SpeechCaptioner::answer_final);
}

void SpeechCaptioner::answer_final(std::uint64_t request, Generation generation,
                                   std::exception_ptr error) {
  const auto found = std::find_if(closing_.begin(), closing_.end(),
                                  [&](const ClosingSegment& c) { return c.request == request; });
  if (found == closing_.end()) return;  // reset since
  if (error) std::rethrow_exception(error);
  count(generation);
  found->answer = std::move(generation);
  tell_finals();
  go_on();
}

void SpeechCaptioner::tell_finals() {
  for (ClosingSegment& closing : closing_) {
    if (!closing.answer) break;
    if (!closing.told) tell_final(closing);
  }
  tell_translations();
}

void SpeechCaptioner::tell_final(ClosingSegment& closing) {
  SpeechSegment& segment = closing.segment;
  std::vector<TokenId> tokens(segment.stable.tokens().begin(), segment.stable.tokens().end());
  tokens.insert(tokens.end(), closing.answer->tokens.begin(), closing.answer->tokens.end());
  TranscriptEvent event;
  event.segment = segment.number;
  event.revision = segment.revision;
  event.final = true;
  event.text = caption_text(engine_->tokenizer(), tokens);
  event.stable_length = event.text.size();
  event.language = options_.language;
  event.start = segment.start;
  event.end = segment.end;
  event.truncated = closing.answer->stop == StopReason::kMaxTokens;
  closing.told = true;
  told_until_ = segment.end;
  ++counters_.segments;
  if (event.truncated) ++counters_.truncated;
  if (!event.text.empty()) ask_translations(closing, tokens);
  ports_.emit(std::move(event));
}

void SpeechCaptioner::ask_translations(ClosingSegment& closing,
                                       const std::vector<TokenId>& transcript) {
  for (const std::string& language : options_.translations) {
    TranslationRequest& translation = closing.translations.emplace_back();
    translation.language = language;
    translation.context = closing.segment.context->fork();
    translation.context->append(translation_follow_up(engine_->tokenizer(), engine_->config(),
                                                      language_name(options_.language),
                                                      language_name(language), transcript));
    translation.request =
        ask(*translation.context, generate_options(closing.segment.patches(), 0, kTranslationTime),
            &SpeechCaptioner::answer_translation);
  }
}

void SpeechCaptioner::answer_translation(std::uint64_t request, Generation generation,
                                         std::exception_ptr error) {
  for (ClosingSegment& closing : closing_) {
    for (TranslationRequest& translation : closing.translations) {
      if (translation.request != request) continue;
      if (error) std::rethrow_exception(error);
      count(generation);
      translation.answer = std::move(generation);
      translation.context.reset();
      tell_translations();
      go_on();
      return;
    }
  }
}

// In the order of the segments for each language, and then forgets the segments that are done.
void SpeechCaptioner::tell_translations() {
  for (std::size_t i = 0; i < options_.translations.size(); ++i) {
    for (ClosingSegment& closing : closing_) {
      if (!closing.told) break;
      if (closing.translations.empty()) continue;  // nothing was said
      TranslationRequest& translation = closing.translations[i];
      if (!translation.answer) break;
      if (std::exchange(translation.told, true)) continue;
      TranslationEvent event;
      event.segment = closing.segment.number;
      event.text = caption_text(engine_->tokenizer(), translation.answer->tokens);
      event.source_language = options_.language;
      event.language = translation.language;
      event.start = closing.segment.start;
      event.end = closing.segment.end;
      event.truncated = translation.answer->stop == StopReason::kMaxTokens;
      ++counters_.translations;
      if (event.truncated) ++counters_.truncated;
      ports_.emit(std::move(event));
    }
  }
  const auto done = [](const ClosingSegment& closing) {
    return closing.told && std::all_of(closing.translations.begin(), closing.translations.end(),
                                       [](const TranslationRequest& t) { return t.told; });
  };
  while (!closing_.empty() && done(closing_.front())) closing_.pop_front();
}

// Tells the silence since the last thing told, if it lasted `least`.
void SpeechCaptioner::tell_silence(StreamTime least) {
  if (quiet_until_ - told_until_ < least) return;
  const SilenceEvent event{told_until_, quiet_until_};
  told_until_ = quiet_until_;
  ports_.emit(event);
}

}  // namespace captiond
