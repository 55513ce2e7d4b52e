#include "pipeline/daemon.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "elements/engine_context.h"
#include "pipeline/event_topic.h"
#include "pipeline/proto_time.h"

namespace captiond {
namespace {

// After stop_timeout: for pipelines whose threads do not even end when they are told to.
constexpr std::chrono::milliseconds kTearDown(300);

}  // namespace

Daemon::Daemon(v1::Config config, std::shared_ptr<spdlog::logger> log)
    : config_(std::move(config)),
      log_(std::move(log)),
      publisher_({.endpoint = config_.publisher().endpoint(),
                  .queue_events = config_.publisher().queue_events(),
                  .subscriber_events = config_.publisher().subscriber_events(),
                  .linger = std::chrono::duration_cast<std::chrono::milliseconds>(
                      from_duration(config_.publisher().linger())),
                  .on_subscriptions =
                      [this](std::size_t count) {
                        post_to_main([this, count] { note_subscriptions(count); });
                      }}),
      events_(
          config_.publisher().history_events(), [] { return std::chrono::system_clock::now(); },
          [this](const v1::Event& event) { deliver(event); }) {
  log_->info("publishing on {}", publisher_.endpoint());
}

int Daemon::run(std::shared_ptr<Engine> engine, const EngineOptions& options) {
  engine_ = gst::make_engine_context({std::move(engine), options});
  for (const v1::StreamConfig& stream : config_.streams()) {
    supervisors_.push_back(std::make_unique<Supervisor>(stream, engine_.get(), events_, log_,
                                                        [this] { note_done(); }));
  }
  const StopSignals signals([this] { stopping_ ? abandon() : stop(); });
  const Timer heart(Timer::Kind::kRepeating, from_duration(config_.publisher().heartbeat()),
                    [this] { beat(); });
  post_to_main([this] { note_subscriptions(subscriptions_); });
  loop_.run();
  publisher_.close();
  const auto statistics = publisher_.statistics();
  log_->info("published {} events, gave up {} for want of room", statistics.published,
             statistics.dropped);
  const bool failed = std::any_of(supervisors_.begin(), supervisors_.end(), [](const auto& each) {
    return each->outcome() == Supervisor::Outcome::kFailed;
  });
  return !stopping_ && failed ? 1 : 0;
}

void Daemon::deliver(const v1::Event& event) {
  // After close() nothing is delivered: the loop has ended.
  (void)publisher_.publish(event_topic(event), event.SerializeAsString());
}

void Daemon::note_subscriptions(std::size_t count) {
  subscriptions_ = count;
  const auto wanted = config_.publisher().wait_for_subscriptions();
  if (started_ || stopping_ || supervisors_.empty()) return;
  if (subscriptions_ < wanted) {
    log_->info("waiting for subscriptions: {} of {} are there", subscriptions_, wanted);
    return;
  }
  started_ = true;
  for (const auto& supervisor : supervisors_) supervisor->start();
}

void Daemon::beat() {
  events_.heartbeat();
  const auto dropped = publisher_.statistics().dropped;
  if (dropped == dropped_) return;
  log_->warn("gave up {} events that nobody had room for: the queue of {} events was full",
             dropped - dropped_, config_.publisher().queue_events());
  dropped_ = dropped;
}

void Daemon::stop() {
  stopping_ = true;
  log_->info("stopping: finishing what is open");
  stop_timer_.emplace(Timer::Kind::kOnce, from_duration(config_.stop_timeout()), [this] {
    log_->warn("not all open segments could be finished in time, they are given up");
    abandon();
  });
  for (const auto& supervisor : supervisors_) supervisor->stop();
  note_done();
}

void Daemon::abandon() {
  stop_timer_.emplace(Timer::Kind::kOnce, kTearDown, [this] { give_up(); });
  for (const auto& supervisor : supervisors_) supervisor->abandon();
}

void Daemon::give_up() {
  for (const auto& supervisor : supervisors_) {
    if (!supervisor->done()) log_->error("{}: its threads do not end", supervisor->id());
  }
  publisher_.close();
  log_->flush();
  // Threads that still run would use what an orderly end takes away.
  std::_Exit(EXIT_FAILURE);
}

void Daemon::note_done() {
  const bool all = std::all_of(supervisors_.begin(), supervisors_.end(),
                               [](const auto& each) { return each->done(); });
  if (!all) return;
  if (stopping_ || config_.exit_when_done()) return loop_.quit();
  log_->info("every stream has ended; publishing heartbeats until SIGTERM");
}

}  // namespace captiond
