#define BOOST_TEST_MODULE publisher
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <zmq.hpp>

#include "pipeline/event_topic.h"
#include "pipeline/publisher.h"
#include "pipeline/subscriber.h"
#include "tests/support/temporary_folder.h"

using captiond::Publisher;
using captiond::PublisherError;
using captiond::Subscriber;
using captiond::test::TemporaryFolder;
namespace v1 = captiond::v1;

namespace {

constexpr std::chrono::seconds kPatience(20);

// Calls from the publisher's thread: how many subscriptions there are.
class Subscriptions {
 public:
  std::function<void(std::size_t)> counter() {
    return [this](std::size_t count) {
      std::lock_guard lock(mutex_);
      count_ = count;
      changed_.notify_all();
    };
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return count_ == count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;  // guarded by mutex_
};

Publisher::Options options(const std::string& endpoint, Subscriptions& subscriptions) {
  return {.endpoint = endpoint,
          .queue_events = 1024,
          .subscriber_events = 1000,
          .linger = std::chrono::milliseconds(1000),
          .on_subscriptions = subscriptions.counter()};
}

v1::Event transcript(const std::string& stream, std::uint64_t sequence) {
  v1::Event event;
  event.set_stream(stream);
  event.set_epoch(1);
  event.set_sequence(sequence);
  event.mutable_transcript()->set_text("word " + std::to_string(sequence));
  event.mutable_transcript()->set_language("en");
  return event;
}

bool publish(Publisher& publisher, const v1::Event& event) {
  return publisher.publish(captiond::event_topic(event), event.SerializeAsString());
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_subscriber_gets_every_event_in_order_and_the_last_before_the_end) {
  Subscriptions subscriptions;
  Publisher publisher(options("tcp://127.0.0.1:*", subscriptions));
  Subscriber subscriber(publisher.endpoint(), {}, -1);
  BOOST_REQUIRE(subscriptions.wait_for(1));
  constexpr std::uint64_t kEvents = 500;
  for (std::uint64_t i = 1; i <= kEvents; ++i) BOOST_TEST(publish(publisher, transcript("a", i)));
  auto closed = std::async(std::launch::async, [&] { publisher.close(); });
  for (std::uint64_t i = 1; i <= kEvents; ++i) {
    const auto event = subscriber.receive(kPatience);
    BOOST_REQUIRE(event.has_value());
    BOOST_TEST(event->sequence() == i);
    BOOST_TEST(event->transcript().text() == "word " + std::to_string(i));
  }
  closed.get();
  BOOST_TEST(!publish(publisher, transcript("a", kEvents + 1)));
  BOOST_TEST(publisher.statistics().published == kEvents);
  BOOST_TEST(publisher.statistics().dropped == 0u);
}

BOOST_AUTO_TEST_CASE(frames_are_topic_and_event) {
  Subscriptions subscriptions;
  Publisher publisher(options("tcp://127.0.0.1:*", subscriptions));
  zmq::context_t context;
  zmq::socket_t socket(context, zmq::socket_type::sub);
  socket.set(zmq::sockopt::subscribe, "lobby/transcript/");
  socket.set(zmq::sockopt::rcvtimeo, 20'000);
  socket.set(zmq::sockopt::linger, 0);
  socket.connect(publisher.endpoint());
  BOOST_REQUIRE(subscriptions.wait_for(1));
  BOOST_TEST(publish(publisher, transcript("lobby2", 1)));
  BOOST_TEST(publish(publisher, transcript("lobby", 7)));
  zmq::message_t topic, body;
  BOOST_REQUIRE(socket.recv(topic).has_value());
  BOOST_TEST(topic.to_string() == "lobby/transcript/en");
  BOOST_REQUIRE(topic.more());
  BOOST_REQUIRE(socket.recv(body).has_value());
  BOOST_TEST(!body.more());
  v1::Event event;
  BOOST_REQUIRE(event.ParseFromArray(body.data(), static_cast<int>(body.size())));
  BOOST_TEST(event.sequence() == 7u);
}

BOOST_AUTO_TEST_CASE(a_subscriber_to_one_stream_gets_no_other) {
  Subscriptions subscriptions;
  Publisher publisher(options("tcp://127.0.0.1:*", subscriptions));
  Subscriber subscriber(publisher.endpoint(), {"a", "c"}, -1);
  BOOST_REQUIRE(subscriptions.wait_for(2));
  for (const char* stream : {"ab", "a", "b", "c"}) {
    BOOST_TEST(publish(publisher, transcript(stream, 1)));
  }
  BOOST_TEST(subscriber.receive(kPatience).value().stream() == "a");
  BOOST_TEST(subscriber.receive(kPatience).value().stream() == "c");
}

BOOST_AUTO_TEST_CASE(a_stalled_subscriber_costs_the_others_nothing) {
  Subscriptions subscriptions;
  Publisher::Options few = options("tcp://127.0.0.1:*", subscriptions);
  // libzmq looks for what a subscriber has taken once a millisecond at most, so the mark must be
  // more than what goes through in that time.
  few.subscriber_events = 128;
  few.queue_events = 100'000;
  few.linger = std::chrono::milliseconds(0);
  Publisher publisher(few);
  zmq::context_t context;
  zmq::socket_t stalled(context, zmq::socket_type::sub);
  stalled.set(zmq::sockopt::rcvhwm, 1);
  stalled.set(zmq::sockopt::rcvbuf, 4096);
  stalled.set(zmq::sockopt::linger, 0);
  stalled.set(zmq::sockopt::subscribe, "");
  stalled.connect(publisher.endpoint());
  Subscriber healthy(publisher.endpoint(), {}, -1);
  BOOST_REQUIRE(subscriptions.wait_for(2));
  v1::Event event = transcript("a", 0);
  event.mutable_transcript()->set_text(std::string(10'000, 'x'));
  // One at a time, so that the healthy subscriber itself is never behind.
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    event.set_sequence(i);
    BOOST_REQUIRE(publish(publisher, event));
    const auto received = healthy.receive(kPatience);
    BOOST_REQUIRE(received.has_value());
    BOOST_REQUIRE(received->sequence() == i);
  }
  BOOST_TEST(publisher.statistics().published == 2000u);
}

BOOST_AUTO_TEST_CASE(subscriptions_are_counted_up_and_down) {
  Subscriptions subscriptions;
  Publisher publisher(options("tcp://127.0.0.1:*", subscriptions));
  {
    Subscriber first(publisher.endpoint(), {}, -1);
    Subscriber second(publisher.endpoint(), {}, -1);
    BOOST_TEST(subscriptions.wait_for(2));
  }
  BOOST_TEST(subscriptions.wait_for(0));
}

BOOST_AUTO_TEST_CASE(a_taken_port_is_refused_with_a_sentence) {
  Subscriptions subscriptions;
  Publisher first(options("tcp://127.0.0.1:*", subscriptions));
  BOOST_CHECK_EXCEPTION(Publisher second(options(first.endpoint(), subscriptions)), PublisherError,
                        [&](const PublisherError& error) {
                          return error.what() ==
                                 "cannot publish on " + first.endpoint() +
                                     ": Address already in use; choose another publisher.endpoint "
                                     "or stop what uses it";
                        });
}

BOOST_AUTO_TEST_CASE(a_taken_ipc_endpoint_is_refused_and_goes_on_working) {
  const TemporaryFolder folder;
  Subscriptions subscriptions;
  const std::string endpoint = "ipc://" + (folder.path() / "socket").native();
  Publisher first(options(endpoint, subscriptions));
  BOOST_CHECK_THROW(Publisher second(options(endpoint, subscriptions)), PublisherError);
  Subscriber subscriber(endpoint, {}, -1);
  BOOST_REQUIRE(subscriptions.wait_for(1));
  BOOST_TEST(publish(first, transcript("a", 1)));
  BOOST_TEST(subscriber.receive(kPatience).has_value());
}

BOOST_AUTO_TEST_CASE(a_file_at_the_path_of_an_ipc_endpoint_is_left_alone) {
  const TemporaryFolder folder;
  const auto file = folder.write("precious", "content");
  Subscriptions subscriptions;
  BOOST_CHECK_THROW(Publisher publisher(options("ipc://" + file.native(), subscriptions)),
                    PublisherError);
  std::ifstream in(file);
  std::string content;
  in >> content;
  BOOST_TEST(content == "content");
}

BOOST_AUTO_TEST_CASE(a_socket_that_nobody_listens_on_any_more_is_replaced) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "socket").native();
  const int left = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  BOOST_REQUIRE(bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  close(left);
  Subscriptions subscriptions;
  Publisher publisher(options("ipc://" + path, subscriptions));
  Subscriber subscriber("ipc://" + path, {}, -1);
  BOOST_TEST(subscriptions.wait_for(1));
}

BOOST_AUTO_TEST_CASE(the_end_waits_no_longer_for_a_subscriber_than_it_lingers) {
  Subscriptions subscriptions;
  Publisher::Options brief = options("tcp://127.0.0.1:*", subscriptions);
  brief.linger = std::chrono::milliseconds(100);
  Publisher publisher(brief);
  zmq::context_t context;
  zmq::socket_t stalled(context, zmq::socket_type::sub);
  stalled.set(zmq::sockopt::rcvhwm, 1);
  stalled.set(zmq::sockopt::rcvbuf, 4096);
  stalled.set(zmq::sockopt::linger, 0);
  stalled.set(zmq::sockopt::subscribe, "");
  stalled.connect(publisher.endpoint());
  BOOST_REQUIRE(subscriptions.wait_for(1));
  v1::Event event = transcript("a", 1);
  event.mutable_transcript()->set_text(std::string(100'000, 'x'));
  for (int i = 0; i < 500; ++i) BOOST_TEST(publish(publisher, event));
  const auto begin = std::chrono::steady_clock::now();
  publisher.close();
  BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds(10)));
}

BOOST_AUTO_TEST_CASE(messages_that_are_no_events_are_counted_and_passed_over) {
  Subscriptions subscriptions;
  Publisher publisher(options("tcp://127.0.0.1:*", subscriptions));
  Subscriber subscriber(publisher.endpoint(), {}, -1);
  BOOST_REQUIRE(subscriptions.wait_for(1));
  BOOST_TEST(publisher.publish("a/scene", "\xff\xff\xff\xff"));
  BOOST_TEST(publisher.publish("a/scene", ""));
  BOOST_TEST(publish(publisher, transcript("a", 3)));
  BOOST_TEST(subscriber.receive(kPatience).value().sequence() == 3u);
  BOOST_TEST(subscriber.malformed() == 2u);
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_is_none_is_refused) {
  Subscriptions subscriptions;
  BOOST_CHECK_THROW(Publisher publisher(options("tcp://nowhere", subscriptions)), PublisherError);
  BOOST_CHECK_THROW(Subscriber subscriber("nonsense", {}, -1), captiond::SubscriberError);
}
