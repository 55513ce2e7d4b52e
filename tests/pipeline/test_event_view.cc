#define BOOST_TEST_MODULE event_view
#include <sstream>
#include <string>

#include <boost/test/unit_test.hpp>

#include "pipeline/event_view.h"
#include "pipeline/live_lines.h"
#include "pipeline/proto_time.h"

using captiond::EventView;
using captiond::LiveLines;
namespace v1 = captiond::v1;

namespace {

v1::Event partial(std::uint64_t sequence, const std::string& text, std::uint32_t stable) {
  v1::Event event;
  event.set_stream("lobby");
  event.set_epoch(5);
  event.set_sequence(sequence);
  v1::Transcript& transcript = *event.mutable_transcript();
  transcript.set_text(text);
  transcript.set_stable_length(stable);
  transcript.set_language("en");
  *transcript.mutable_start() = captiond::to_duration(std::chrono::milliseconds(61'240));
  *transcript.mutable_end() = captiond::to_duration(std::chrono::milliseconds(62'500));
  return event;
}

v1::Event final_text(std::uint64_t sequence, const std::string& text) {
  v1::Event event = partial(sequence, text, static_cast<std::uint32_t>(text.size()));
  event.mutable_transcript()->set_final(true);
  return event;
}

}  // namespace

BOOST_AUTO_TEST_CASE(in_a_pipe_partials_are_lines_with_a_mark) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kLines, out, notes, 0);
  view.show(partial(1, "hello wor", 5));
  view.show(final_text(2, "hello world"));
  BOOST_TEST(out.str() ==
             "~ lobby 00:01:01.240 en  hello wor\n"
             "lobby 00:01:01.240 en  hello world\n");
}

BOOST_AUTO_TEST_CASE(on_a_terminal_partials_are_rewritten_in_place) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kLines, out, notes, 80);
  view.show(partial(1, "hello wor", 5));
  BOOST_TEST(out.str() == "lobby 00:01:01.240 en  hello\x1b[2m wor\x1b[0m\n");
  out.str("");
  view.show(final_text(2, "hello world"));
  BOOST_TEST(out.str() == "\x1b[1A\x1b[2Klobby 00:01:01.240 en  hello world\n");
}

BOOST_AUTO_TEST_CASE(a_partial_that_is_too_long_loses_its_beginning) {
  std::ostringstream out;
  LiveLines lines(out, 12);
  lines.replace("a", {"L ", "abcdef", "ghijklmn"});
  BOOST_TEST(out.str() == "L …\x1b[2mghijklmn\x1b[0m\n");
  out.str("");
  lines.replace("a", {"L ", "abc", "dé"});
  BOOST_TEST(out.str() == "\x1b[1A\x1b[2KL abc\x1b[2mdé\x1b[0m\n");
}

BOOST_AUTO_TEST_CASE(a_kept_line_stands_above_the_partial_ones) {
  std::ostringstream out;
  LiveLines lines(out, 40);
  lines.replace("a", {"a ", "x", ""});
  lines.replace("b", {"b ", "y", ""});
  out.str("");
  lines.keep("kept");
  const std::string erase = "\x1b[1A\x1b[2K";
  BOOST_TEST(out.str() == erase + erase + "kept\na x\x1b[2m\x1b[0m\nb y\x1b[2m\x1b[0m\n");
}

BOOST_AUTO_TEST_CASE(text_cannot_steer_the_terminal) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kLines, out, notes, 0);
  view.show(final_text(1, "a\x1b[2Jb\nc\u009bd"));
  BOOST_TEST(out.str() == "lobby 00:01:01.240 en  a\\x1b[2Jb\\x0ac\\x9bd\n");
}

BOOST_AUTO_TEST_CASE(a_loss_is_said_before_what_came_after_it) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kLines, out, notes, 0);
  view.show(final_text(1, "one"));
  view.show(final_text(4, "four"));
  BOOST_TEST(out.str().find("lobby: 2 events were lost before 4\n") != std::string::npos);
  BOOST_TEST(view.missing() == 2u);
}

BOOST_AUTO_TEST_CASE(states_and_gaps_are_lines) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kLines, out, notes, 0);
  v1::Event event;
  event.set_stream("lobby");
  event.set_epoch(5);
  event.set_sequence(1);
  event.mutable_stream_state()->set_state(v1::StreamState::RETRYING);
  event.mutable_stream_state()->set_reason("no route");
  *event.mutable_stream_state()->mutable_retry_in() =
      captiond::to_duration(std::chrono::milliseconds(1500));
  view.show(event);
  event.set_sequence(2);
  event.mutable_gap()->set_reason(v1::Gap::ENGINE_BEHIND);
  *event.mutable_gap()->mutable_start() = captiond::to_duration(std::chrono::seconds(1));
  *event.mutable_gap()->mutable_end() = captiond::to_duration(std::chrono::seconds(2));
  view.show(event);
  BOOST_TEST(out.str() ==
             "lobby is retrying: no route; next try in 1.500 s\n"
             "lobby 00:00:01.000 not heard until 00:00:02.000: the engine was behind\n");
}

BOOST_AUTO_TEST_CASE(json_has_the_names_of_the_schema) {
  std::ostringstream out, notes;
  EventView view(EventView::Style::kJson, out, notes, 0);
  view.show(final_text(1, "\"hi\""));
  BOOST_TEST(out.str() ==
             "{\"stream\":\"lobby\",\"epoch\":5,\"sequence\":1,\"transcript\":{\"segment\":0,"
             "\"revision\":0,\"final\":true,\"text\":\"\\\"hi\\\"\",\"stable_length\":4,"
             "\"language\":\"en\",\"start\":61.24,\"end\":62.5,\"truncated\":false}}\n");
}
