#include "pipeline/event_log.h"

#include <algorithm>
#include <utility>

#include "model/check.h"
#include "pipeline/proto_time.h"

namespace captiond {

EventLog::EventLog(std::size_t history_events, Clock now, Sink sink)
    : history_events_(history_events), now_(std::move(now)), sink_(std::move(sink)) {}

std::uint64_t EventLog::begin_epoch(const std::string& stream) {
  StreamLog& log = logs_[stream];
  const auto since_1970 = now_().time_since_epoch();
  const auto microseconds = std::chrono::floor<std::chrono::microseconds>(since_1970).count();
  log.epoch =
      std::max(log.epoch + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds, 0)));
  log.sequence = 0;
  return log.epoch;
}

void EventLog::append(const std::string& stream, v1::Event body) {
  const auto found = logs_.find(stream);
  check(found != logs_.end(), "an event was logged before its stream's epoch began");
  check(body.body_case() != v1::Event::BODY_NOT_SET, "an event was logged without a body");
  check(!body.has_heartbeat(), "a heartbeat was logged as an event");
  StreamLog& log = found->second;
  ++log.sequence;
  stamp(stream, log, body);
  if (history_events_ > 0) {
    if (log.history.size() == history_events_) log.history.pop_front();
    log.history.push_back(body);
  }
  sink_(body);
}

void EventLog::heartbeat() {
  for (const auto& [stream, log] : logs_) {
    v1::Event event;
    event.mutable_heartbeat()->set_last_sequence(log.sequence);
    stamp(stream, log, event);
    sink_(event);
  }
}

std::vector<v1::Event> EventLog::after(std::string_view stream, std::uint64_t epoch,
                                       std::uint64_t sequence) const {
  std::vector<v1::Event> events;
  const auto found = logs_.find(stream);
  if (found == logs_.end()) return events;
  for (const v1::Event& event : found->second.history) {
    if (event.epoch() == epoch && event.sequence() > sequence) events.push_back(event);
  }
  return events;
}

void EventLog::stamp(const std::string& stream, const StreamLog& log, v1::Event& event) const {
  event.set_stream(stream);
  event.set_epoch(log.epoch);
  event.set_sequence(log.sequence);
  *event.mutable_published_at() = to_timestamp(now_());
}

}  // namespace captiond
