#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "captiond/v1/event.pb.h"

namespace captiond {

// Numbers the events of all streams, keeps the newest of each and hands every one on.
//
// An epoch is one run of one stream; its events are numbered 1, 2, 3, … without holes. One thread
// (the main loop) owns it.
class EventLog {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;
  using Sink = std::function<void(const v1::Event&)>;

  // Keeps up to `history_events` events a stream. `now` gives published_at and the epochs; `sink`
  // gets every event, heartbeats too, before the call that made it returns.
  EventLog(std::size_t history_events, Clock now, Sink sink);

  // Begins the next epoch of `stream` and returns it: the microseconds since 1970, or one more than
  // the stream's last epoch if the clock has not passed that.
  std::uint64_t begin_epoch(const std::string& stream);

  // Gives `body` (an Event with its body set) stream, epoch, the next sequence and the time, keeps
  // it and hands it on. A stream that has no epoch yet, or a heartbeat, is a programmer error.
  void append(const std::string& stream, v1::Event body);

  // Hands on a heartbeat of every stream that has an epoch. Heartbeats take no number and are not
  // kept.
  void heartbeat();

  // The kept events of one epoch that come after `sequence`, in order. Fewer than last_sequence() -
  // sequence means that the rest has been given up.
  std::vector<v1::Event> after(std::string_view stream, std::uint64_t epoch,
                               std::uint64_t sequence) const;

 private:
  struct StreamLog {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;     // of the last event of the epoch, 0 if there is none
    std::deque<v1::Event> history;  // size() <= history_events_; may span epochs
  };

  void stamp(const std::string& stream, const StreamLog& log, v1::Event& event) const;

  const std::size_t history_events_;
  const Clock now_;
  const Sink sink_;
  std::map<std::string, StreamLog, std::less<>> logs_;
};

}  // namespace captiond
