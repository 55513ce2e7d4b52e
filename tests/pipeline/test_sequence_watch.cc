#define BOOST_TEST_MODULE sequence_watch
#include <boost/test/unit_test.hpp>

#include "pipeline/sequence_watch.h"

using captiond::SequenceWatch;
namespace v1 = captiond::v1;

namespace {

v1::Event event(const char* stream, std::uint64_t epoch, std::uint64_t sequence) {
  v1::Event event;
  event.set_stream(stream);
  event.set_epoch(epoch);
  event.set_sequence(sequence);
  event.mutable_scene();
  return event;
}

v1::Event heartbeat(const char* stream, std::uint64_t epoch, std::uint64_t sequence) {
  v1::Event beat = event(stream, epoch, sequence);
  beat.mutable_heartbeat()->set_last_sequence(sequence);
  return beat;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_was_before_the_first_event_is_no_loss) {
  SequenceWatch watch;
  BOOST_TEST(watch.missing_before(event("a", 1, 7)) == 0u);
  BOOST_TEST(watch.missing_before(event("a", 1, 8)) == 0u);
}

BOOST_AUTO_TEST_CASE(a_hole_is_counted_once) {
  SequenceWatch watch;
  watch.missing_before(event("a", 1, 1));
  BOOST_TEST(watch.missing_before(event("a", 1, 5)) == 3u);
  BOOST_TEST(watch.missing_before(event("a", 1, 6)) == 0u);
  BOOST_TEST(watch.missing() == 3u);
}

BOOST_AUTO_TEST_CASE(a_heartbeat_shows_a_lost_tail) {
  SequenceWatch watch;
  watch.missing_before(event("a", 1, 1));
  BOOST_TEST(watch.missing_before(heartbeat("a", 1, 1)) == 0u);
  BOOST_TEST(watch.missing_before(heartbeat("a", 1, 3)) == 2u);
  BOOST_TEST(watch.missing_before(event("a", 1, 4)) == 0u);
}

BOOST_AUTO_TEST_CASE(a_first_heartbeat_is_followed_by_the_next_number) {
  SequenceWatch watch;
  BOOST_TEST(watch.missing_before(heartbeat("a", 1, 9)) == 0u);
  BOOST_TEST(watch.missing_before(event("a", 1, 10)) == 0u);
  BOOST_TEST(watch.missing_before(event("a", 1, 12)) == 1u);
}

BOOST_AUTO_TEST_CASE(the_beginning_of_a_new_epoch_can_be_lost) {
  SequenceWatch watch;
  watch.missing_before(event("a", 1, 5));
  BOOST_TEST(watch.missing_before(event("a", 2, 1)) == 0u);
  BOOST_TEST(watch.missing_before(event("a", 3, 3)) == 2u);
}

BOOST_AUTO_TEST_CASE(streams_are_counted_apart) {
  SequenceWatch watch;
  watch.missing_before(event("a", 1, 1));
  BOOST_TEST(watch.missing_before(event("b", 1, 9)) == 0u);
  BOOST_TEST(watch.missing_before(event("a", 1, 2)) == 0u);
}
