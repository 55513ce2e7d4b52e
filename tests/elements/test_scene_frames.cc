#define BOOST_TEST_MODULE scene_frames
#include <chrono>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/scene_frames.h"

using namespace captiond;
using namespace std::chrono_literals;

namespace {

std::string text(StreamTime time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

// Milliseconds of the frames before a picture due at `due`, the last one seen.
std::string chosen(SceneFrames& frames, const std::vector<StreamTime>& times, StreamTime due) {
  for (const StreamTime time : times) {
    if (frames.see(time)) frames.keep({time, {}});
  }
  std::string out;
  for (const SceneFrame& frame : frames.before(due)) out += text(frame.time) + " ";
  return out;
}

std::vector<StreamTime> every(StreamTime step, StreamTime end) {
  std::vector<StreamTime> out;
  for (StreamTime time{}; time <= end; time += step) out.push_back(time);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_last_frames_before_the_due_one_are_chosen) {
  SceneFrames frames(4, 1s);
  BOOST_TEST(chosen(frames, every(100ms, 10s), 10s) == "7000 8000 9000 ");
}

BOOST_AUTO_TEST_CASE(there_are_fewer_at_the_start) {
  SceneFrames frames(4, 1s);
  BOOST_TEST(chosen(frames, {}, 0s) == "");
  BOOST_TEST(chosen(frames, every(100ms, 2s), 2s) == "0 1000 ");
}

BOOST_AUTO_TEST_CASE(one_frame_is_the_due_one_alone) {
  SceneFrames frames(1, 1s);
  BOOST_TEST(chosen(frames, every(100ms, 5s), 5s) == "");
}

BOOST_AUTO_TEST_CASE(frames_that_come_late_do_not_push_the_others_back) {
  SceneFrames frames(6, 1s);
  // The first of each slot, every 120 ms: 120 ms after the last one at most.
  BOOST_TEST(chosen(frames, every(120ms, 6s), 6s) == "1080 2040 3000 4080 5040 ");
}

BOOST_AUTO_TEST_CASE(a_frame_that_is_close_to_the_due_one_gives_way) {
  SceneFrames early(3, 1s);
  BOOST_TEST(chosen(early, every(100ms, 3400ms), 3400ms) == "1000 2000 ");
  SceneFrames late(3, 1s);
  BOOST_TEST(chosen(late, every(100ms, 3500ms), 3500ms) == "2000 3000 ");
}

BOOST_AUTO_TEST_CASE(irregular_times_give_one_frame_a_slot_at_most) {
  SceneFrames frames(5, 1s);
  BOOST_TEST(chosen(frames, {0s, 10ms, 900ms, 1900ms, 1999ms, 2001ms, 4700ms}, 4700ms) ==
             "0 1900 2001 ");
}

BOOST_AUTO_TEST_CASE(what_is_further_back_than_the_span_is_forgotten) {
  SceneFrames frames(3, 1s);
  BOOST_CHECK(frames.span() == 3s);
  BOOST_TEST(chosen(frames, {0s, 1s, 2s, 4500ms}, 4500ms) == "2000 ");
  BOOST_TEST(chosen(frames, {8s}, 8s) == "");
}

BOOST_AUTO_TEST_CASE(time_that_goes_back_begins_anew) {
  SceneFrames frames(3, 1s);
  BOOST_TEST(chosen(frames, {5s, 6s, 5900ms, 7s}, 7s) == "5900 ");
  BOOST_CHECK(frames.clock_start(5900ms) == 5900ms);
}

BOOST_AUTO_TEST_CASE(after_forgetting_the_next_picture_is_the_first) {
  SceneFrames frames(3, 1s);
  chosen(frames, {0s, 1s}, 1s);
  frames.forget();
  BOOST_TEST(frames.before(2s).empty());
  BOOST_TEST(frames.see(1200ms));
  BOOST_CHECK(frames.clock_start(1200ms) == 1200ms);
}

BOOST_AUTO_TEST_CASE(a_videos_clock_starts_with_the_slot_of_its_first_frame) {
  SceneFrames frames(3, 1s);
  chosen(frames, {500ms, 1600ms}, 1600ms);
  BOOST_CHECK(frames.clock_start(1600ms) == 1500ms);
}
