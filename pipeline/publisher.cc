#include "pipeline/publisher.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include <zmq.hpp>

#include "pipeline/bounded_queue.h"

namespace captiond {
namespace {

constexpr std::string_view kIpc = "ipc://";

std::string refusal(const std::string& endpoint, const std::string& reason) {
  return "cannot publish on " + endpoint + ": " + reason +
         "; choose another publisher.endpoint or stop what uses it";
}

// libzmq unlinks whatever lies at the path of an ipc endpoint, be it a file or the socket of a
// running daemon, so what may be taken over is decided here.
void check_ipc_path(const std::string& endpoint) {
  if (!endpoint.starts_with(kIpc)) return;
  const std::string path = endpoint.substr(kIpc.size());
  if (path.empty() || path.front() == '@' || path == "*") return;
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return;
  if (!std::filesystem::is_socket(status)) {
    throw PublisherError(refusal(endpoint, "a file that is no socket lies there"));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw PublisherError(refusal(endpoint, "the path is too long for a socket"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool taken = probe >= 0 && ::connect(probe, reinterpret_cast<const sockaddr*>(&address),
                                             sizeof(address)) == 0;
  if (probe >= 0) ::close(probe);
  if (taken) throw PublisherError(refusal(endpoint, "another program listens there"));
}

// Wakes a thread that polls file descriptors.
class WakeUp {
 public:
  WakeUp() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  ~WakeUp() { ::close(descriptor_); }
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  int descriptor() const { return descriptor_; }
  // Cannot fail: the counter is full only after 2^64 unread calls, and is readable then too.
  void ring() const { (void)!::eventfd_write(descriptor_, 1); }
  void reset() const {
    eventfd_t count = 0;
    (void)!::eventfd_read(descriptor_, &count);
  }

 private:
  const int descriptor_;
};

}  // namespace

class Publisher::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        socket_(std::in_place, context_, zmq::socket_type::xpub),
        queue_(options_.queue_events) {
    check_ipc_path(options_.endpoint);
    socket_->set(zmq::sockopt::sndhwm, static_cast<int>(options_.subscriber_events));
    socket_->set(zmq::sockopt::linger, static_cast<int>(options_.linger.count()));
    // Every subscription is counted, not just the first to a topic.
    socket_->set(zmq::sockopt::xpub_verboser, 1);
    try {
      socket_->bind(options_.endpoint);
    } catch (const zmq::error_t& error) {
      throw PublisherError(refusal(options_.endpoint, error.what()));
    }
    endpoint_ = socket_->get(zmq::sockopt::last_endpoint);
    // From here on the socket is the thread's.
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() { close(); }

  const std::string& endpoint() const { return endpoint_; }

  bool publish(std::string topic, std::string event) {
    if (!queue_.push(Message{std::move(topic), std::move(event)})) return false;
    wake_up_.ring();
    return true;
  }

  void close() {
    queue_.close();
    wake_up_.ring();
    if (thread_.joinable()) thread_.join();
  }

  Statistics statistics() const { return {published_.load(), queue_.dropped()}; }

 private:
  struct Message {
    std::string topic;
    std::string event;
  };

  void run() {
    while (!queue_.finished()) {
      std::array<zmq::pollitem_t, 2> items = {
          {{socket_->handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake_up_.descriptor(), ZMQ_POLLIN, 0}}};
      wait(items);
      wake_up_.reset();
      // Subscriptions first, so that what was asked for before an event gets it.
      take_subscriptions();
      while (const auto message = queue_.try_pop()) send(*message);
    }
    // Closing the context waits for the subscribers, at most the linger time.
    socket_.reset();
    context_.close();
  }

  static void wait(std::array<zmq::pollitem_t, 2>& items) {
    try {
      zmq::poll(items.data(), items.size(), std::chrono::milliseconds(-1));
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }

  void take_subscriptions() {
    bool changed = false;
    zmq::message_t message;
    while (socket_->recv(message, zmq::recv_flags::dontwait)) {
      if (message.size() == 0) continue;
      const bool opened = *message.data<unsigned char>() == 1;
      if (!opened && subscriptions_ == 0) continue;
      subscriptions_ += opened ? std::size_t{1} : static_cast<std::size_t>(-1);
      changed = true;
    }
    if (changed && options_.on_subscriptions) options_.on_subscriptions(subscriptions_);
  }

  void send(const Message& message) {
    // XPUB drops for a subscriber at its high-water mark and never waits.
    socket_->send(zmq::buffer(message.topic), zmq::send_flags::sndmore);
    socket_->send(zmq::buffer(message.event), zmq::send_flags::none);
    ++published_;
  }

  const Options options_;
  zmq::context_t context_;
  std::optional<zmq::socket_t> socket_;  // publisher's thread only, once that runs
  std::string endpoint_;                 // constant after construction
  BoundedQueue<Message> queue_;
  WakeUp wake_up_;
  std::size_t subscriptions_ = 0;  // publisher's thread only
  std::atomic<std::uint64_t> published_{0};
  std::thread thread_;  // last: it uses everything above
};

Publisher::Publisher(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Publisher::~Publisher() = default;
const std::string& Publisher::endpoint() const { return impl_->endpoint(); }
bool Publisher::publish(std::string topic, std::string event) {
  return impl_->publish(std::move(topic), std::move(event));
}
void Publisher::close() { impl_->close(); }
Publisher::Statistics Publisher::statistics() const { return impl_->statistics(); }

}  // namespace captiond
