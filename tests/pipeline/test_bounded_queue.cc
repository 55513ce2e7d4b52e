#define BOOST_TEST_MODULE bounded_queue
#include <future>

#include <boost/test/unit_test.hpp>

#include "pipeline/bounded_queue.h"

using captiond::BoundedQueue;

BOOST_AUTO_TEST_CASE(a_full_queue_drops_the_oldest_and_counts_it) {
  BoundedQueue<int> queue(2);
  for (const int i : {1, 2, 3}) BOOST_TEST(queue.push(i));
  BOOST_TEST(queue.dropped() == 1u);
  BOOST_TEST(queue.pop().value() == 2);
  BOOST_TEST(queue.pop().value() == 3);
}

BOOST_AUTO_TEST_CASE(close_wakes_a_waiting_consumer, *boost::unit_test::timeout(10)) {
  BoundedQueue<int> queue(1);
  auto popped = std::async(std::launch::async, [&] { return queue.pop(); });
  queue.close();
  BOOST_TEST(!popped.get().has_value());
  BOOST_TEST(!queue.push(1));
}

BOOST_AUTO_TEST_CASE(close_lets_the_consumer_drain) {
  BoundedQueue<int> queue(2);
  BOOST_TEST(queue.push(7));
  queue.close();
  BOOST_TEST(!queue.finished());
  BOOST_TEST(queue.pop().value() == 7);
  BOOST_TEST(!queue.pop().has_value());
  BOOST_TEST(queue.finished());
}

BOOST_AUTO_TEST_CASE(try_pop_does_not_wait) {
  BoundedQueue<int> queue(2);
  BOOST_TEST(!queue.try_pop().has_value());
  BOOST_TEST(queue.push(7));
  BOOST_TEST(queue.try_pop().value() == 7);
  BOOST_TEST(!queue.try_pop().has_value());
}
