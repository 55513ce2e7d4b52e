#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <spdlog/logger.h>
#include <string>

#include <gst/gst.h>

#include "captiond/v1/config.pb.h"
#include "pipeline/back_off.h"
#include "pipeline/event_log.h"
#include "pipeline/main_loop.h"
#include "pipeline/stream.h"

namespace captiond {

// Keeps one configured stream going: runs it, logs its events, and decides what follows a run. A
// live source that fails or ends is tried again after a delay, for ever unless attempts_max says
// otherwise; a file that ends is finished (or begins again, `loop`), a file that fails has failed.
// Main thread only.
class Supervisor final : public StreamListener {
 public:
  enum class Outcome { kNone, kFinished, kFailed, kStopped };

  // `stream` has passed find_problem(). `engine` (a captiond.engine context) and `events` are
  // borrowed. `on_done` is called once, when the stream will not run again.
  Supervisor(v1::StreamConfig stream, GstContext* engine, EventLog& events,
             std::shared_ptr<spdlog::logger> log, std::function<void()> on_done);

  void start();
  // Finishes what is open, then is done.
  void stop();
  // Is done without what is open.
  void abandon();

  const std::string& id() const { return config_.id(); }
  bool done() const { return outcome_ != Outcome::kNone; }
  Outcome outcome() const { return outcome_; }

 private:
  void stop_waiting();
  void begin_run();
  void handle_failure(const std::string& reason);
  void retry(std::chrono::nanoseconds delay, const std::string& reason);
  void conclude(Outcome outcome, v1::StreamState::State state, const std::string& reason);
  void append_state(v1::StreamState state);

  void on_running() override;
  void on_body(v1::Event body) override;
  void on_end(const std::string& failure) override;

  const v1::StreamConfig config_;
  GstContext* const engine_;
  EventLog& events_;
  const std::shared_ptr<spdlog::logger> log_;
  const std::function<void()> on_done_;
  BackOff back_off_;
  std::unique_ptr<Stream> stream_;  // while a run goes on
  std::optional<Timer> retry_timer_;
  std::chrono::steady_clock::time_point running_since_;  // valid while has_run_
  bool has_run_ = false;
  bool started_ = false;
  bool stopping_ = false;
  Outcome outcome_ = Outcome::kNone;
};

}  // namespace captiond
