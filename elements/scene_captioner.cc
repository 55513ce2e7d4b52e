#include "elements/scene_captioner.h"

#include <stdexcept>
#include <utility>

#include "elements/caption_text.h"
#include "model/check.h"

namespace captiond {
namespace {

SceneOptions checked(SceneOptions o) {
  if (o.interval < StreamTime::zero()) {
    throw std::invalid_argument(
        "scene-interval is negative, it must be 0 (every picture) or more.");
  }
  if (o.tokens_max < 1) {
    throw std::invalid_argument("scene-tokens-max is 0, it must be at least 1.");
  }
  require_vision_budget(o.soft_tokens_max);
  if (o.prompt.empty()) {
    throw std::invalid_argument("scene-prompt is empty, it must ask something about a picture.");
  }
  return o;
}

}  // namespace

SceneCaptioner::SceneCaptioner(std::shared_ptr<Engine> engine, SceneOptions options,
                               CaptionPorts ports, CaptionCounters& counters)
    : engine_(std::move(engine)),
      options_(checked(std::move(options))),
      ports_(std::move(ports)),
      counters_(counters),
      prompt_(scene_question(engine_->tokenizer(), engine_->config(), options_.prompt)),
      prompt_context_(engine_->new_context()) {
  if (!engine_->config().vision) {
    throw RequestError(
        "The checkpoint cannot see: its config.json has no vision_config, so it takes no "
        "pictures.");
  }
  prompt_context_->append(prompt_.before);
}

void SceneCaptioner::take(Picture picture) {
  check(accepts(), "a captioner takes a picture only while it accepts it");
  if (!told_until_) told_until_ = picture.time;
  if (!is_due(picture.time)) {
    if (!request_) tell_silence(picture.time);
    return;
  }
  if (request_) {
    ++counters_.scenes_skipped;
    return;
  }
  tell_silence(picture.time);
  ask(picture);
}

bool SceneCaptioner::is_due(StreamTime time) const {
  return !described_ || time < *described_ || time - *described_ >= options_.interval;
}

void SceneCaptioner::ask(const Picture& picture) {
  described_ = picture.time;
  request_ = std::make_unique<Request>();
  request_->number = ++requests_;
  request_->time = picture.time;
  request_->context = prompt_context_->fork();
  if (picture.pixels) {
    request_->context->append(engine_->patches(*picture.pixels, options_.soft_tokens_max));
  } else {
    request_->context->append(picture.patches);
  }
  request_->context->append(prompt_.after);
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
