#define BOOST_TEST_MODULE event_log
#include <chrono>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "pipeline/event_log.h"

using captiond::EventLog;
namespace v1 = captiond::v1;

namespace {

// A log with a clock that stands still until it is set.
struct Fixture {
  std::chrono::system_clock::time_point now{std::chrono::microseconds(1'000'000)};
  std::vector<v1::Event> events;
  EventLog log{3, [this] { return now; }, [this](const v1::Event& e) { events.push_back(e); }};

  static v1::Event scene(const std::string& text) {
    v1::Event event;
    event.mutable_scene()->set_text(text);
    return event;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(events_of_an_epoch_are_numbered_from_one_without_holes, Fixture) {
  const auto epoch = log.begin_epoch("a");
  for (const char* text : {"x", "y", "z"}) log.append("a", scene(text));
  BOOST_REQUIRE(events.size() == 3u);
  for (std::size_t i = 0; i < events.size(); ++i) {
    BOOST_TEST(events[i].stream() == "a");
    BOOST_TEST(events[i].epoch() == epoch);
    BOOST_TEST(events[i].sequence() == i + 1);
    BOOST_TEST(events[i].published_at().seconds() == 1);
  }
}

BOOST_FIXTURE_TEST_CASE(streams_are_numbered_apart, Fixture) {
  log.begin_epoch("a");
  log.begin_epoch("b");
  log.append("a", scene("x"));
  log.append("b", scene("y"));
  BOOST_TEST(events[0].sequence() == 1u);
  BOOST_TEST(events[1].sequence() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_new_epoch_is_larger_even_if_the_clock_goes_back, Fixture) {
  const auto first = log.begin_epoch("a");
  log.append("a", scene("x"));
  now -= std::chrono::seconds(1);
  const auto second = log.begin_epoch("a");
  log.append("a", scene("y"));
  BOOST_TEST(first == 1'000'000u);
  BOOST_TEST(second == first + 1);
  BOOST_TEST(events[1].sequence() == 1u);
  now += std::chrono::seconds(10);
  BOOST_TEST(log.begin_epoch("a") == 10'000'000u);
}

BOOST_FIXTURE_TEST_CASE(a_heartbeat_carries_the_last_number_and_takes_none, Fixture) {
  log.begin_epoch("a");
  log.append("a", scene("x"));
  log.heartbeat();
  log.append("a", scene("y"));
  BOOST_REQUIRE(events.size() == 3u);
  BOOST_TEST(events[1].heartbeat().last_sequence() == 1u);
  BOOST_TEST(events[1].sequence() == 1u);
  BOOST_TEST(events[2].sequence() == 2u);
}

BOOST_FIXTURE_TEST_CASE(the_newest_events_are_kept_and_can_be_asked_for, Fixture) {
  const auto epoch = log.begin_epoch("a");
  for (const char* text : {"1", "2", "3", "4", "5"}) log.append("a", scene(text));
  const auto all = log.after("a", epoch, 0);
  BOOST_REQUIRE(all.size() == 3u);
  BOOST_TEST(all.front().scene().text() == "3");
  const auto tail = log.after("a", epoch, 4);
  BOOST_REQUIRE(tail.size() == 1u);
  BOOST_TEST(tail.front().scene().text() == "5");
  BOOST_TEST(log.after("a", epoch + 1, 0).empty());
  BOOST_TEST(log.after("b", epoch, 0).empty());
}

BOOST_AUTO_TEST_CASE(a_log_without_history_still_hands_on) {
  int handed_on = 0;
  EventLog log(
      0, [] { return std::chrono::system_clock::time_point(); },
      [&](const v1::Event&) { ++handed_on; });
  const auto epoch = log.begin_epoch("a");
  log.append("a", Fixture::scene("x"));
  BOOST_TEST(handed_on == 1);
  BOOST_TEST(log.after("a", epoch, 0).empty());
}
