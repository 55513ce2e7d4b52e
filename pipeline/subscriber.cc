#include "pipeline/subscriber.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <utility>

#include <zmq.hpp>

namespace captiond {
namespace {

// Events that may wait here while the terminal is slow; beyond them the loss shows as a hole.
constexpr int kWaitingEventsMax = 100'000;

// Whoever sends more in one message is not captiond.
constexpr std::int64_t kMessageBytesMax = std::int64_t{16} << 20;

}  // namespace

class Subscriber::Impl {
 public:
  Impl(const std::string& endpoint, const std::vector<std::string>& streams, int interrupt)
      : socket_(context_, zmq::socket_type::sub), interrupt_(interrupt) {
    socket_.set(zmq::sockopt::rcvhwm, kWaitingEventsMax);
    socket_.set(zmq::sockopt::maxmsgsize, kMessageBytesMax);
    socket_.set(zmq::sockopt::linger, 0);
    if (streams.empty()) socket_.set(zmq::sockopt::subscribe, "");
    for (const std::string& stream : streams) {
      socket_.set(zmq::sockopt::subscribe, stream + "/");
    }
    try {
      socket_.connect(endpoint);
    } catch (const zmq::error_t& error) {
      throw SubscriberError("cannot connect to \"" + endpoint + "\": " + error.what() +
                            "; expected tcp://ADDRESS:PORT or ipc://PATH");
    }
  }

  std::optional<v1::Event> receive(std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
      if (auto event = take()) return event;
      auto left = timeout;
      if (timeout >= std::chrono::milliseconds(0)) {
        left = std::chrono::ceil<std::chrono::milliseconds>(deadline -
                                                            std::chrono::steady_clock::now());
        if (left <= std::chrono::milliseconds(0)) return std::nullopt;
      }
      if (!wait(left)) return std::nullopt;
    }
  }

  std::uint64_t malformed() const { return malformed_; }

 private:
  // The next event that is here already.
  std::optional<v1::Event> take() {
    zmq::message_t frame;
    while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
      std::size_t frames = 1;
      while (frame.more()) {
        if (!socket_.recv(frame, zmq::recv_flags::dontwait)) break;
        ++frames;
      }
      v1::Event event;
      const bool fits = frame.size() <= std::numeric_limits<int>::max();
      if (frames == 2 && fits &&
          event.ParseFromArray(frame.data(), static_cast<int>(frame.size())) &&
          event.body_case() != v1::Event::BODY_NOT_SET) {
        return event;
      }
      ++malformed_;
    }
    return std::nullopt;
  }

  // Whether a message may be here; false when interrupted or timed out.
  bool wait(std::chrono::milliseconds timeout) {
    std::array<zmq::pollitem_t, 2> items = {
        {{socket_.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, interrupt_, ZMQ_POLLIN, 0}}};
    const std::size_t count = interrupt_ >= 0 ? 2 : 1;
    try {
      zmq::poll(items.data(), count, timeout);
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
      return true;
    }
    if (items[1].revents != 0) return false;
    return items[0].revents != 0;
  }

  zmq::context_t context_;
  zmq::socket_t socket_;
  const int interrupt_;
  std::uint64_t malformed_ = 0;
};

Subscriber::Subscriber(const std::string& endpoint, const std::vector<std::string>& streams,
                       int interrupt)
    : impl_(std::make_unique<Impl>(endpoint, streams, interrupt)) {}
Subscriber::~Subscriber() = default;
std::optional<v1::Event> Subscriber::receive(std::chrono::milliseconds timeout) {
  return impl_->receive(timeout);
}
std::uint64_t Subscriber::malformed() const { return impl_->malformed(); }

}  // namespace captiond
