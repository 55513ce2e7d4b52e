#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "captiond/v1/event.pb.h"

namespace captiond {

// The endpoint is no endpoint. what() is one full sentence.
class SubscriberError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Receives events: a ZeroMQ SUB socket. It connects by itself whenever the publisher is there, so
// it may be made before. One thread.
class Subscriber {
 public:
  // Subscribes to everything of the streams `streams`, or of all if there are none. `interrupt` is
  // a file descriptor that ends receive() when it becomes readable (-1: none); borrowed. Throws
  // SubscriberError.
  Subscriber(const std::string& endpoint, const std::vector<std::string>& streams, int interrupt);
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // The next event; nullopt when `timeout` has passed (negative: never) or `interrupt` is readable.
  // Messages that are no captiond events are counted and passed over.
  std::optional<v1::Event> receive(std::chrono::milliseconds timeout);

  // Messages that could not be read as events.
  std::uint64_t malformed() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace captiond
