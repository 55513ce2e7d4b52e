#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace captiond {

// The endpoint cannot be bound. what() is one full sentence.
class PublisherError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Sends events to whoever subscribes: a ZeroMQ XPUB socket in a thread of its own.
//
// Nobody waits for a subscriber. publish() only puts into the queue `publish`; when that is full
// the oldest event is given up and counted. A subscriber that is slower than the events loses those
// beyond its own high-water mark, the others do not notice (plain XPUB: with ZMQ_XPUB_NODROP one
// stalled subscriber costs all of them). Either loss is a hole in the sequence numbers.
class Publisher {
 public:
  struct Options {
    std::string endpoint;                // tcp://ADDRESS:PORT (PORT may be *) or ipc://PATH
    std::size_t queue_events = 0;        // capacity of the queue
    std::size_t subscriber_events = 0;   // send high-water mark, per subscriber
    std::chrono::milliseconds linger{};  // how long the end waits for slow subscribers
    // Called on the publisher's thread with the number of subscriptions that are open, after each
    // change; must only post. May be empty.
    std::function<void(std::size_t)> on_subscriptions;
  };
  struct Statistics {
    std::uint64_t published = 0;  // given to the socket
    std::uint64_t dropped = 0;    // given up because the queue was full
  };

  // Binds and starts the thread. Throws PublisherError if the endpoint is taken or cannot be bound.
  explicit Publisher(Options options);
  // close()
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // The endpoint as it is bound: with the port that the system chose for *.
  const std::string& endpoint() const;

  // Any thread. Returns false after close().
  [[nodiscard]] bool publish(std::string topic, std::string event);

  // Sends what is queued, waits at most `linger` for subscribers, ends the thread.
  void close();

  Statistics statistics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace captiond
