#include "pipeline/supervisor.h"

#include <random>
#include <utility>

#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/proto_time.h"
#include "pipeline/stream_error.h"
#include "pipeline/stream_plan.h"

namespace captiond {

Supervisor::Supervisor(v1::StreamConfig stream, GstContext* engine, EventLog& events,
                       std::shared_ptr<spdlog::logger> log, std::function<void()> on_done)
    : config_(std::move(stream)),
      engine_(engine),
      events_(events),
      log_(std::move(log)),
      on_done_(std::move(on_done)),
      back_off_(config_.restart(), std::random_device()()) {}

void Supervisor::start() {
  started_ = true;
  begin_run();
}

void Supervisor::stop() {
  stopping_ = true;
  if (stream_) return stream_->finish();
  stop_waiting();
}

void Supervisor::abandon() {
  stopping_ = true;
  if (stream_) return stream_->abandon();
  stop_waiting();
}

void Supervisor::stop_waiting() {
  if (done()) return;
  if (started_) return conclude(Outcome::kStopped, v1::StreamState::STOPPED, "");
  outcome_ = Outcome::kStopped;  // without an epoch there is no event
  on_done_();
}

void Supervisor::begin_run() {
  retry_timer_.reset();
  has_run_ = false;
  events_.begin_epoch(id());
  v1::StreamState state;
  state.set_state(v1::StreamState::STARTING);
  append_state(std::move(state));
  try {
    StreamPlan plan = plan_stream(config_);
    log_->info("{}: starting {}", id(), plan.uri.shown());
    stream_ = std::make_unique<Stream>(std::move(plan), engine_, *this, log_);
    stream_->start();
  } catch (const ConfigError& error) {  // a secret that is not there now
    handle_failure(error.what());
  } catch (const StreamError& error) {
    handle_failure(error.what());
  }
}

void Supervisor::on_running() {
  has_run_ = true;
  running_since_ = std::chrono::steady_clock::now();
  log_->info("{}: running", id());
  v1::StreamState state;
  state.set_state(v1::StreamState::RUNNING);
  append_state(std::move(state));
}

void Supervisor::on_body(v1::Event body) { events_.append(id(), std::move(body)); }

void Supervisor::on_end(const std::string& failure) {
  stream_.reset();
  if (stopping_) return conclude(Outcome::kStopped, v1::StreamState::STOPPED, failure);
  if (!failure.empty()) return handle_failure(failure);
  if (is_live(config_)) return handle_failure("the source has ended");
  if (!config_.loop()) return conclude(Outcome::kFinished, v1::StreamState::FINISHED, "");
  v1::StreamState state;
  state.set_state(v1::StreamState::FINISHED);
  append_state(std::move(state));
  begin_run();
}

void Supervisor::handle_failure(const std::string& reason) {
  const auto now = std::chrono::steady_clock::now();
  const auto run = has_run_ ? now - running_since_ : std::chrono::nanoseconds(0);
  if (!is_live(config_)) return conclude(Outcome::kFailed, v1::StreamState::FAILED, reason);
  const auto delay = back_off_.next(run);
  const auto most = config_.restart().attempts_max();
  if (most > 0 && back_off_.failures() >= most) {
    return conclude(Outcome::kFailed, v1::StreamState::FAILED, reason);
  }
  retry(delay, reason);
}

void Supervisor::retry(std::chrono::nanoseconds delay, const std::string& reason) {
  log_->warn("{}: {}; next try in {:.1f} s", id(), reason,
             std::chrono::duration<double>(delay).count());
  v1::StreamState state;
  state.set_state(v1::StreamState::RETRYING);
  state.set_reason(reason);
  *state.mutable_retry_in() = to_duration(delay);
  append_state(std::move(state));
  retry_timer_.emplace(Timer::Kind::kOnce, delay, [this] { begin_run(); });
}

void Supervisor::conclude(Outcome outcome, v1::StreamState::State state,
                          const std::string& reason) {
  retry_timer_.reset();
  outcome_ = outcome;
  if (outcome == Outcome::kFailed) {
    log_->error("{}: failed: {}", id(), reason);
  } else {
    log_->info("{}: {}", id(), outcome == Outcome::kFinished ? "finished" : "stopped");
  }
  v1::StreamState body;
  body.set_state(state);
  body.set_reason(reason);
  append_state(std::move(body));
  on_done_();
}

void Supervisor::append_state(v1::StreamState state) {
  // Texts of libraries and file names may be in any encoding; Protobuf strings may not.
  const gst::StringHandle valid(
      g_utf8_make_valid(state.reason().c_str(), static_cast<gssize>(state.reason().size())));
  state.set_reason(valid.get());
  v1::Event event;
  *event.mutable_stream_state() = std::move(state);
  events_.append(id(), std::move(event));
}

}  // namespace captiond
