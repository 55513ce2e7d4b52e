#define BOOST_TEST_MODULE work_queue
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include <boost/test/unit_test.hpp>

#include "elements/work_queue.h"

using Queue = captiond::WorkQueue<int>;
using Pushed = Queue::Pushed;

namespace {

// What is popped, as text: "3", "barrier", "closure", "closed"; "3 after 2 lost from 1".
std::string popped(Queue& queue, bool media_too = true) {
  auto work = queue.pop(media_too);
  if (!work) return "closed";
  std::string out = "closure";
  if (const int* item = std::get_if<int>(&work->what)) out = std::to_string(*item);
  if (std::holds_alternative<Queue::Barrier>(work->what)) out = "barrier";
  if (work->lost) {
    out += " after " + std::to_string(work->lost->count) + " lost from " +
           std::to_string(work->lost->first);
  }
  return out;
}

// On a thread of its own; Boost.Test's macros are for one thread.
template <class Call>
auto later(Call&& call) {
  return std::async(std::launch::async, std::forward<Call>(call));
}

}  // namespace

BOOST_AUTO_TEST_CASE(media_and_barriers_keep_their_order_and_closures_go_first) {
  Queue queue(4);
  BOOST_CHECK(queue.push(1) == Pushed::kTaken);
  BOOST_CHECK(queue.push(Queue::Barrier{}) == Pushed::kTaken);
  BOOST_CHECK(queue.push(2) == Pushed::kTaken);
  queue.post([] {});
  BOOST_TEST(popped(queue) == "closure");
  BOOST_TEST(popped(queue) == "1");
  BOOST_TEST(popped(queue) == "barrier");
  BOOST_TEST(popped(queue) == "2");
}

BOOST_AUTO_TEST_CASE(a_full_queue_makes_its_source_wait_until_there_is_room) {
  Queue queue(1);
  queue.push(1);
  std::future<Pushed> second = later([&] { return queue.push(2); });
  BOOST_TEST(popped(queue) == "1");
  BOOST_CHECK(second.get() == Pushed::kTaken);
  BOOST_TEST(popped(queue) == "2");
}

BOOST_AUTO_TEST_CASE(a_full_queue_of_a_live_source_drops_the_oldest_and_says_how_many) {
  Queue queue(2);
  queue.set_live(true);
  for (int i = 1; i <= 5; ++i) BOOST_CHECK(queue.push(i) == Pushed::kTaken);
  BOOST_TEST(popped(queue) == "4 after 3 lost from 1");
  BOOST_TEST(popped(queue) == "5");
}

BOOST_AUTO_TEST_CASE(barriers_are_never_dropped) {
  Queue queue(1);
  queue.set_live(true);
  queue.push(Queue::Barrier{});
  queue.push(1);
  queue.push(2);
  queue.push(Queue::Barrier{});
  BOOST_TEST(popped(queue) == "barrier after 1 lost from 1");
  BOOST_TEST(popped(queue) == "2");
  BOOST_TEST(popped(queue) == "barrier");
}

BOOST_AUTO_TEST_CASE(media_stay_where_they_are_while_only_closures_are_wanted) {
  Queue queue(2);
  queue.push(1);
  queue.post([] {});
  BOOST_TEST(popped(queue, false) == "closure");
  std::thread poster([&] { queue.post([] {}); });
  BOOST_TEST(popped(queue, false) == "closure");
  poster.join();
  BOOST_TEST(popped(queue) == "1");
}

BOOST_AUTO_TEST_CASE(a_flush_drops_all_and_refuses_media_until_it_is_over) {
  Queue queue(2);
  queue.push(1);
  queue.post([] { BOOST_ERROR("dropped"); });
  bool first = false;
  queue.start_flush([&] { first = true; });
  BOOST_CHECK(queue.push(2) == Pushed::kFlushing);
  BOOST_CHECK(queue.push(Queue::Barrier{}) == Pushed::kFlushing);
  auto work = queue.pop(true);
  BOOST_REQUIRE(work.has_value());
  std::get<Queue::Closure>(work->what)();
  BOOST_TEST(first);
  queue.stop_flush();
  BOOST_CHECK(queue.push(3) == Pushed::kTaken);
  BOOST_TEST(popped(queue) == "3");
}

BOOST_AUTO_TEST_CASE(a_flush_wakes_a_source_that_waits) {
  Queue queue(1);
  queue.push(1);
  std::future<Pushed> second = later([&] { return queue.push(2); });
  queue.start_flush([] {});
  BOOST_CHECK(second.get() == Pushed::kFlushing);
}

BOOST_AUTO_TEST_CASE(a_closed_queue_takes_nothing_and_wakes_everyone) {
  Queue queue(1);
  queue.push(1);
  std::future<Pushed> second = later([&] { return queue.push(2); });
  Queue empty(1);
  std::future<std::string> next = later([&] { return popped(empty); });
  queue.close();
  empty.close();
  BOOST_CHECK(second.get() == Pushed::kClosed);
  BOOST_TEST(next.get() == "closed");
  BOOST_CHECK(queue.push(3) == Pushed::kClosed);
  BOOST_CHECK(queue.push(Queue::Barrier{}) == Pushed::kClosed);
  queue.post([] {});
  BOOST_TEST(popped(queue) == "closed");
}
