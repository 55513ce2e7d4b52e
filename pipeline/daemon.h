#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <spdlog/logger.h>
#include <vector>

#include "captiond/v1/config.pb.h"
#include "elements/gst_handle.h"
#include "model/engine.h"
#include "pipeline/event_log.h"
#include "pipeline/main_loop.h"
#include "pipeline/publisher.h"
#include "pipeline/supervisor.h"

namespace captiond {

// `captiond serve`: the streams of a configuration, their events, and the end of both. Main thread
// only.
class Daemon {
 public:
  // Binds the publisher's endpoint. Throws PublisherError. `config` has passed find_problem().
  Daemon(v1::Config config, std::shared_ptr<spdlog::logger> log);

  // Runs the streams on `engine` until SIGINT or SIGTERM, or until all have ended if the
  // configuration says so. The first signal finishes what is open, for at most stop_timeout; a
  // second one does not wait. Returns the exit code: 0, or 1 if it ended by itself and a stream had
  // failed.
  int run(std::shared_ptr<Engine> engine, const EngineOptions& options);

 private:
  void deliver(const v1::Event& event);
  void note_subscriptions(std::size_t count);
  void beat();
  void stop();
  void abandon();
  void give_up();
  void note_done();

  const v1::Config config_;
  const std::shared_ptr<spdlog::logger> log_;
  MainLoop loop_;
  Publisher publisher_;
  EventLog events_;
  gst::ContextHandle engine_;
  std::vector<std::unique_ptr<Supervisor>> supervisors_;
  std::optional<Timer> stop_timer_;
  std::size_t subscriptions_ = 0;
  std::uint64_t dropped_ = 0;  // by the publisher's queue, as far as logged
  bool started_ = false;
  bool stopping_ = false;
};

}  // namespace captiond
