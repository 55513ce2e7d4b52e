#include "elements/scene_captioner.h"

#include <stdexcept>
#include <utility>

#include "elements/caption_prompt.h"
#include "elements/caption_text.h"
#include "model/check.h"

namespace captiond {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

SceneOptions checked(SceneOptions o) {
  if (o.interval < StreamTime::zero()) {
    throw std::invalid_argument(
        "scene-interval is negative, it must be 0 (every picture) or more.");
  }
  if (o.tokens_max < 1) {
    throw std::invalid_argument("scene-tokens-max is 0, it must be at least 1.");
  }
  require_vision_budget(o.soft_tokens_max);
  if (o.frames < 1 || o.frames > kSceneFramesMax) {
    throw std::invalid_argument("scene-frames is " + std::to_string(o.frames) +
                                ", it must be 1 (a picture) to " + std::to_string(kSceneFramesMax) +
                                ".");
  }
  if (o.frame_distance <= StreamTime::zero()) {
    throw std::invalid_argument("scene-frame-distance is not above 0, it must be 1 ms or more.");
  }
  if (o.frames > 1 && o.frame_distance > kSceneSpanMax / static_cast<StreamTime::rep>(o.frames)) {
    throw std::invalid_argument(
        "scene-frames is " + std::to_string(o.frames) + " and scene-frame-distance " +
        std::to_string(duration_cast<milliseconds>(o.frame_distance).count()) +
        " ms, but the model takes videos of 60000 ms at most: make one of them smaller.");
  }
  if (o.prompt.empty()) o.prompt = o.frames > 1 ? kVideoPrompt : kPicturePrompt;
  return o;
}

std::vector<std::vector<TokenId>> prompt_of(const Engine& engine, const SceneOptions& options,
                                            std::span<const seconds> times) {
  if (options.frames > 1) {
    return video_question(engine.tokenizer(), engine.config(), times, options.prompt);
  }
  CaptionPrompt picture = scene_question(engine.tokenizer(), engine.config(), options.prompt);
  return {std::move(picture.before), std::move(picture.after)};
}

// The longest question and its answer must fit; what it becomes in the end depends on the stream.
void check_room(const Engine& engine, const SceneOptions& options) {
  std::vector<seconds> times;
  for (std::size_t i = 0; i < options.frames; ++i) {
    times.push_back(
        duration_cast<seconds>(options.frame_distance * static_cast<StreamTime::rep>(i)));
  }
  std::size_t wanted = options.frames * options.soft_tokens_max + options.tokens_max;
  for (const auto& ids : prompt_of(engine, options, times)) wanted += ids.size();
  const auto most = static_cast<std::size_t>(engine.config().text.max_position_embeddings);
  if (wanted <= most) return;
  throw std::invalid_argument(
      "scene-frames is " + std::to_string(options.frames) + " and scene-soft-tokens-max " +
      std::to_string(options.soft_tokens_max) + ", with the question and an answer of " +
      std::to_string(options.tokens_max) + " tokens that is " + std::to_string(wanted) +
      " positions, but the checkpoint's max_position_embeddings is " + std::to_string(most) +
      ": make one of them smaller.");
}

}  // namespace

SceneCaptioner::SceneCaptioner(std::shared_ptr<Engine> engine, SceneOptions options,
                               CaptionPorts ports, CaptionCounters& counters)
    : engine_(std::move(engine)),
      options_(checked(std::move(options))),
      ports_(std::move(ports)),
      counters_(counters),
      prompt_context_(engine_->new_context()),
      frames_(options_.frames, options_.frame_distance) {
  if (!engine_->config().vision) {
    throw std::invalid_argument(
        "The checkpoint cannot see: its config.json has no vision_config, so it takes no "
        "pictures.");
  }
  check_room(*engine_, options_);
  const std::vector<seconds> start = {seconds(0)};
  prompt_context_->append(prompt_of(*engine_, options_, start).front());
}

void SceneCaptioner::take(Picture picture) {
  check(accepts(), "a captioner takes a picture only while it accepts it");
  if (!told_until_) told_until_ = picture.time;
  const bool due = is_due(picture.time);
  const bool first_of_slot = frames_.see(picture.time);
  const bool keeps = options_.frames > 1 && first_of_slot && is_within_reach(picture.time);
  const bool asks = due && !request_;
  if (due && request_) ++counters_.scenes_skipped;
  if (!request_) tell_silence(picture.time);
  if (!asks && !keeps) return;
  SceneFrame frame = scaled(std::move(picture));
  if (asks) ask(frame);
  if (keeps) frames_.keep(std::move(frame));
}

bool SceneCaptioner::is_due(StreamTime time) const {
  return !described_ || time < *described_ || time - *described_ >= options_.interval;
}

bool SceneCaptioner::is_within_reach(StreamTime time) const {
  return is_due(time) || *described_ + options_.interval - time <= frames_.span();
}

SceneFrame SceneCaptioner::scaled(Picture picture) const {
  SceneFrame frame{picture.time, {}};
  frame.patches = picture.pixels ? engine_->patches(*picture.pixels, options_.soft_tokens_max)
                                 : std::move(picture.patches);
  frame.patches.video_frame = options_.frames > 1;
  return frame;
}

std::vector<std::vector<TokenId>> SceneCaptioner::prompt_for(std::span<const SceneFrame> before,
                                                             StreamTime due) const {
  const StreamTime start = before.empty() ? due : frames_.clock_start(before.front().time);
  std::vector<seconds> times;
  for (const SceneFrame& frame : before) {
    times.push_back(duration_cast<seconds>(frame.time - start));
  }
  times.push_back(duration_cast<seconds>(due - start));
  return prompt_of(*engine_, options_, times);
}

void SceneCaptioner::ask(const SceneFrame& due) {
  described_ = due.time;
  request_ = std::make_unique<Request>();
  request_->number = ++requests_;
  request_->time = due.time;
  request_->context = prompt_context_->fork();
  const std::span<const SceneFrame> before = frames_.before(due.time);
  const std::vector<std::vector<TokenId>> around = prompt_for(before, due.time);
  for (std::size_t i = 0; i < before.size(); ++i) {
    request_->context->append(before[i].patches);
    request_->context->append(around[i + 1]);
  }
  request_->context->append(due.patches);
  request_->context->append(around.back());
  GenerateOptions options;
  options.max_tokens = options_.tokens_max;
  request_->context->generate(
      std::move(options), [this, post = ports_.post, number = request_->number](
                              Generation generation, std::exception_ptr error) {
        post([this, number, generation = std::move(generation), error = std::move(error)] {
          answer(number, generation, error);
        });
      });
}

void SceneCaptioner::answer(std::uint64_t number, const Generation& generation,
                            std::exception_ptr error) {
  if (!request_ || request_->number != number) return;  // reset since
  const std::unique_ptr<Request> request = std::move(request_);
  if (error) std::rethrow_exception(error);
  if (generation.stop == StopReason::kCancelled) {
    throw std::runtime_error("The engine stopped before it had answered.");
  }
  SceneEvent event;
  event.scene = scenes_++;
  event.text = caption_text(engine_->tokenizer(), generation.tokens);
  event.time = request->time;
  event.end = request->time + options_.interval;
  event.truncated = generation.stop == StopReason::kMaxTokens;
  ++counters_.scenes;
  counters_.tokens += generation.tokens.size();
  if (event.truncated) ++counters_.truncated;
  ports_.emit(std::move(event));
}

void SceneCaptioner::finish() {
  described_.reset();
  told_until_.reset();
  frames_.forget();
}

void SceneCaptioner::reset() {
  request_.reset();
  finish();
}

// Between two pictures nothing more will be said about the first.
void SceneCaptioner::tell_silence(StreamTime until) {
  if (until <= *told_until_) return;
  ports_.emit(SilenceEvent{*told_until_, until});
  told_until_ = until;
}

}  // namespace captiond
