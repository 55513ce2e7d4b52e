#define BOOST_TEST_MODULE gemmacaptioner
#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/caption_message.h"
#include "elements/voice_activity.h"
#include "tests/support/caption_harness.h"
#include "tests/support/gst_harness.h"
#include "tests/support/scripted_engine.h"

// What gemmacaptioner makes of a stream. Where its engine comes from: test_engine_context.cc.

namespace {

using namespace captiond;
using captiond::gst::BufferHandle;
using captiond::gst::MessageHandle;
using captiond::test::CaptionHarness;
using captiond::test::patch_buffer;
using Answers = ScriptedEngine::Answers;

std::string growing(const ScriptedQuestion& question) {
  const std::string sentence = "good morning everyone and welcome";
  std::size_t words = question.patches / 12;
  std::size_t end = 0;
  while (words-- > 0 && end != std::string::npos) end = sentence.find(' ', end + 1);
  return sentence.substr(0, end);
}

std::shared_ptr<ScriptedEngine> engine_of(Script script = growing,
                                          Answers answers = Answers::kOnAThread) {
  return ScriptedEngine::make("good morning everyone and welcome", std::move(script), answers);
}

void require_lines(const std::vector<std::string>& found, const std::vector<std::string>& wanted) {
  BOOST_TEST(found == wanted, boost::test_tools::per_element());
}

GstEvent* segment_event(GstFormat format, double rate, GstClockTime start, GstClockTime time) {
  GstSegment segment;
  gst_segment_init(&segment, format);
  segment.rate = rate;
  segment.start = start;
  segment.time = time;
  return gst_event_new_segment(&segment);
}

}  // namespace

using captiond::test::Gst;
BOOST_TEST_GLOBAL_FIXTURE(Gst);

BOOST_AUTO_TEST_CASE(finals_leave_as_text_with_gaps_in_between_and_then_the_end) {
  CaptionHarness harness("gemmacaptioner live=false", engine_of());
  harness.start();
  harness.say(25, false);
  harness.say(45, true);
  harness.say(60, false);
  harness.finish();
  require_lines(harness.out(),
                {"stream-start", "caps", "tag", "segment", "gap 0.000-0.800",
                 "text 0.800-3.000 good morning everyone and", "gap 3.000-5.200", "eos"});
}

BOOST_AUTO_TEST_CASE(partials_and_finals_are_messages_on_the_bus) {
  CaptionHarness harness("gemmacaptioner live=false", engine_of());
  harness.start();
  harness.say(45, true);
  harness.say(20, false);
  harness.finish();
  require_lines(harness.captions(), {"0.0 0.000-0.520 |good", "0.1 0.000-1.000 |good morning",
                                     "0.2 0.000-1.520 good| morning everyone",
                                     "0.3 0.000-2.000 good morning| everyone and",
                                     "0.4 0.000-2.000 final good morning everyone and"});
}

BOOST_AUTO_TEST_CASE(captions_are_told_without_any_source_pad) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of(), nullptr);
  harness.start();
  harness.say(45, true);
  BOOST_TEST(harness.push_event(gst_event_new_eos()));
  const MessageHandle message = harness.wait_for(GST_MESSAGE_ELEMENT);
  const auto event = captiond::gst::parse_caption(message.get());
  BOOST_REQUIRE(event.has_value());
  BOOST_TEST(to_line(*event) == "0.0 0.000-1.800 final good morning everyone");
}

BOOST_AUTO_TEST_CASE(the_end_finishes_the_open_segment_first) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of());
  harness.start();
  harness.say(45, true);
  harness.finish();
  const auto out = harness.out();
  BOOST_REQUIRE(out.size() >= 2u);
  BOOST_TEST(out[out.size() - 2] == "text 0.000-1.800 good morning everyone");
  BOOST_TEST(out.back() == "eos");
}

BOOST_AUTO_TEST_CASE(a_flush_drops_what_was_heard_and_a_new_stream_begins) {
  CaptionHarness harness("gemmacaptioner live=true partial-interval=0",
                         engine_of(growing, Answers::kWhenTold));
  harness.start();
  harness.say(45, true);
  harness.say(20, false);
  while (harness.out().size() < 4) std::this_thread::yield();  // the stream's own events are out
  BOOST_TEST(harness.push_event(gst_event_new_flush_start()));
  BOOST_TEST(harness.push(patch_buffer(0, true)) == GST_FLOW_FLUSHING);
  BOOST_TEST(harness.push_event(gst_event_new_flush_stop(TRUE)));
  while (harness.engine->answer_next()) {
  }
  BOOST_TEST(harness.push_event(segment_event(GST_FORMAT_TIME, 1, 0, 0)));
  harness.number = 0;
  harness.say(30, false);
  harness.finish();
  require_lines(harness.captions(), {});
  const auto out = harness.out();
  BOOST_REQUIRE(out.size() >= 5u);
  const std::vector<std::string> last(out.end() - 5, out.end());
  require_lines(last, {"flush-start", "flush-stop", "segment", "gap 0.000-1.200", "eos"});
}

BOOST_AUTO_TEST_CASE(a_flush_before_anything_came_out_loses_nothing_of_the_stream_itself) {
  for (int round = 0; round < 50; ++round) {
    CaptionHarness harness("gemmacaptioner live=true", engine_of(growing, Answers::kOnAThread));
    harness.start();
    BOOST_TEST(harness.push_event(gst_event_new_flush_start()));
    BOOST_TEST(harness.push_event(gst_event_new_flush_stop(TRUE)));
    BOOST_TEST(harness.push_event(segment_event(GST_FORMAT_TIME, 1, 0, 0)));
    harness.say(30, false);
    harness.finish();
    const auto out = harness.out();
    for (const char* event : {"stream-start", "caps", "segment"}) {
      BOOST_TEST(std::count(out.begin(), out.end(), event) >= 1, "no " << event << " came out");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_flush_frees_a_source_that_waits) {
  CaptionHarness harness("gemmacaptioner live=false", engine_of(growing, Answers::kWhenTold));
  harness.start();
  // The first partial is never answered, so the queue fills and the source waits in a push.
  std::future<GstFlowReturn> last =
      std::async(std::launch::async, [&] { return harness.say(2000, true); });
  while (harness.engine->open_questions() == 0) std::this_thread::yield();
  BOOST_TEST(harness.push_event(gst_event_new_flush_start()));
  BOOST_TEST(last.get() == GST_FLOW_FLUSHING);
  BOOST_TEST(harness.push_event(gst_event_new_flush_stop(TRUE)));
}

BOOST_AUTO_TEST_CASE(a_live_source_is_never_made_to_wait_and_what_it_loses_is_told) {
  CaptionHarness harness("gemmacaptioner live=true", engine_of(growing, Answers::kWhenTold));
  harness.start();
  for (int segment = 0; segment < 60; ++segment) {
    BOOST_TEST(harness.say(15, true) == GST_FLOW_OK);
    BOOST_TEST(harness.say(20, false) == GST_FLOW_OK);
  }
  // Four finals are asked for and not answered; the queue of 30 s is full.
  BOOST_TEST(harness.engine->questions().empty());
  std::thread engine([&] {
    while (harness.out().empty() || harness.out().back() != "eos") {
      if (!harness.engine->answer_next()) std::this_thread::yield();
    }
  });
  harness.finish();
  engine.join();
  StreamTime lost{};
  while (const auto message = harness.pop(GST_MESSAGE_ELEMENT)) {
    const auto event = captiond::gst::parse_caption(message.get());
    if (!event || !std::holds_alternative<LossEvent>(*event)) continue;
    lost += std::get<LossEvent>(*event).end - std::get<LossEvent>(*event).start;
  }
  GstStructure* statistics = nullptr;
  g_object_get(harness.element(), "statistics", &statistics, nullptr);
  const captiond::gst::StructureHandle owned(statistics);
  guint64 dropped = 0;
  BOOST_TEST(gst_structure_get_uint64(statistics, "dropped", &dropped));
  BOOST_TEST(dropped > 0u);
  BOOST_TEST(dropped <= 60u * 35u - 750u);
  BOOST_CHECK(lost == duration_of(dropped));
}

BOOST_AUTO_TEST_CASE(whether_a_source_is_live_is_asked_of_upstream) {
  // The harness answers the LATENCY query as a live source does.
  CaptionHarness harness("gemmacaptioner", engine_of(growing, Answers::kWhenTold));
  harness.start();
  BOOST_TEST(harness.say(2000, true) == GST_FLOW_OK);
}

BOOST_AUTO_TEST_CASE(the_same_stream_gives_the_same_out_whatever_the_engine_takes) {
  std::vector<std::string> first_out;
  std::vector<std::string> first_captions;
  for (const Answers answers : {Answers::kAtOnce, Answers::kOnAThread, Answers::kOnAThread}) {
    CaptionHarness harness("gemmacaptioner live=false", engine_of(growing, answers));
    harness.start();
    for (std::size_t i = 0; i < 6; ++i) {
      harness.say(20 + 10 * i, true);
      harness.say(30, false);
    }
    harness.finish();
    if (first_out.empty()) {
      first_out = harness.out();
      first_captions = harness.captions();
      BOOST_TEST(first_captions.size() > 12u);
    } else {
      BOOST_TEST(harness.out() == first_out, boost::test_tools::per_element());
      BOOST_TEST(harness.captions() == first_captions, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(text_keeps_the_timestamps_of_its_segment_and_messages_tell_stream_time) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of());
  harness.start();
  BOOST_TEST(
      harness.push_event(segment_event(GST_FORMAT_TIME, 1, 100 * GST_SECOND, 7 * GST_SECOND)));
  for (std::size_t i = 0; i < 45; ++i) {
    BOOST_TEST(harness.push(patch_buffer(i, true, 100 * GST_SECOND)) == GST_FLOW_OK);
  }
  harness.finish();
  BOOST_TEST(harness.out().end()[-2] == "text 100.000-101.800 good morning everyone");
  require_lines(harness.captions(), {"0.0 7.000-8.800 final good morning everyone"});
}

BOOST_AUTO_TEST_CASE(audio_outside_the_segment_is_not_heard) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of());
  harness.start();
  BOOST_TEST(harness.push_event(segment_event(GST_FORMAT_TIME, 1, GST_SECOND, GST_SECOND)));
  harness.say(45, true);
  harness.finish();
  require_lines(harness.captions(), {"0.0 1.000-1.800 final good"});
}

BOOST_AUTO_TEST_CASE(a_gap_event_ends_what_was_said_before_it) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of());
  harness.start();
  harness.say(25, true);
  BOOST_TEST(harness.push_event(gst_event_new_gap(GST_SECOND, 3 * GST_SECOND)));
  harness.number = 100;
  harness.say(25, true);
  harness.finish();
  const auto out = harness.out();
  BOOST_REQUIRE(out.size() >= 4u);
  require_lines({out.end() - 4, out.end()}, {"text 0.000-1.000 good morning", "gap 1.000-4.000",
                                             "text 4.000-5.000 good morning", "eos"});
}

BOOST_AUTO_TEST_CASE(a_buffer_of_several_patches_is_as_good_as_several_buffers) {
  CaptionHarness harness("gemmacaptioner live=false partial-interval=0", engine_of());
  harness.start();
  BufferHandle joined = patch_buffer(0, true);
  for (std::size_t i = 1; i < 45; ++i) {
    joined.reset(gst_buffer_append(joined.release(), patch_buffer(i, true).release()));
  }
  BOOST_TEST(harness.push(std::move(joined)) == GST_FLOW_OK);
  harness.finish();
  require_lines(harness.captions(), {"0.0 0.000-1.800 final good morning everyone"});
}

BOOST_AUTO_TEST_CASE(data_that_can_never_be_captioned_are_one_error) {
  const auto error_after = [](auto feed) {
    CaptionHarness harness("gemmacaptioner live=false", engine_of());
    harness.start();
    BOOST_TEST(feed(harness) == GST_FLOW_ERROR);
    const auto errors = harness.errors();
    BOOST_REQUIRE_EQUAL(errors.size(), 1u);
    return errors[0];
  };
  BOOST_TEST(error_after([](CaptionHarness& h) {
               BufferHandle buffer(gst_buffer_new_allocate(nullptr, 100, nullptr));
               GST_BUFFER_PTS(buffer.get()) = 0;
               return h.push(std::move(buffer));
             }).starts_with("A buffer of audio patches has 100 bytes"));
  BOOST_TEST(error_after([](CaptionHarness& h) {
               BufferHandle buffer = patch_buffer(0, true);
               GST_BUFFER_PTS(buffer.get()) = GST_CLOCK_TIME_NONE;
               return h.push(std::move(buffer));
             }).starts_with("Pad 'audio' got a buffer without a timestamp"));
  BOOST_TEST(error_after([](CaptionHarness& h) {
               h.push_event(segment_event(GST_FORMAT_TIME, -1, 0, 0));
               return h.push(patch_buffer(0, true));
             }).starts_with("Pad 'audio' got data that are played backwards"));
  BOOST_TEST(error_after([](CaptionHarness& h) {
               h.push_event(segment_event(GST_FORMAT_BYTES, 1, 0, 0));
               return h.push(patch_buffer(0, true));
             }).starts_with("Pad 'audio' got data without a segment in time"));
}

BOOST_AUTO_TEST_CASE(other_caps_are_refused) {
  for (const char* caps : {"audio/x-raw, rate=16000", "application/x-audio-patches, samples=320",
                           "application/x-audio-patches, samples=640, rate=8000"}) {
    CaptionHarness harness("gemmacaptioner live=false", engine_of());
    gst_harness_set_src_caps_str(harness.get(), caps);
    BOOST_TEST(harness.push(patch_buffer(0, true)) == GST_FLOW_NOT_NEGOTIATED, caps);
  }
}

BOOST_AUTO_TEST_CASE(an_error_of_the_engine_is_one_error_and_disturbs_nobody_else) {
  const auto engine = engine_of([](const ScriptedQuestion& question) -> std::string {
    if (question.prompt.find("in German") != std::string::npos) {
      throw std::runtime_error("step 7 failed: 3 KV pages are lost");
    }
    return "good morning";
  });
  CaptionHarness broken("gemmacaptioner live=false language=de", engine);
  CaptionHarness healthy("gemmacaptioner live=false partial-interval=0", engine);
  broken.start();
  healthy.start();
  GstFlowReturn flow = GST_FLOW_OK;
  while (flow == GST_FLOW_OK) {
    flow = broken.say(1, true);
    BOOST_TEST(healthy.say(1, true) == GST_FLOW_OK);
  }
  BOOST_TEST(flow == GST_FLOW_ERROR);
  BOOST_TEST(broken.say(1, true) == GST_FLOW_ERROR);
  require_lines(broken.errors(), {"step 7 failed: 3 KV pages are lost"});
  healthy.finish();
  BOOST_TEST(healthy.errors().empty());
  BOOST_TEST(!healthy.captions().empty());
}

BOOST_AUTO_TEST_CASE(latency_is_the_longest_segment_and_its_endpoint) {
  CaptionHarness harness("gemmacaptioner segment-max=5000 endpoint-silence=400 lead-out=200",
                         engine_of());
  harness.start();
  gst_harness_set_upstream_latency(harness.get(), 3 * GST_MSECOND);
  BOOST_TEST(gst_harness_query_latency(harness.get()) == 5403 * GST_MSECOND);
}

BOOST_AUTO_TEST_CASE(statistics_count_and_are_posted_at_the_end) {
  CaptionHarness harness("gemmacaptioner live=false", engine_of());
  harness.start();
  harness.say(45, true);
  harness.say(30, false);
  harness.say(2, true);
  harness.say(30, false);
  harness.finish();
  guint64 segments = 0;
  guint64 blips = 0;
  guint64 partials = 0;
  while (const auto message = harness.pop(GST_MESSAGE_ELEMENT)) {
    const GstStructure* structure = gst_message_get_structure(message.get());
    if (!gst_structure_has_name(structure, "captiond-statistics")) continue;
    gst_structure_get_uint64(structure, "segments", &segments);
    gst_structure_get_uint64(structure, "blips", &blips);
    gst_structure_get_uint64(structure, "partials", &partials);
  }
  BOOST_TEST(segments == 1u);
  BOOST_TEST(blips == 1u);
  BOOST_TEST(partials == 4u);
}

BOOST_AUTO_TEST_CASE(how_speech_is_told_from_silence_is_said_where_the_user_left_it_open) {
  const auto feed = [](CaptionHarness& harness, bool with_meta) {
    harness.start();
    for (std::size_t i = 0; i < 60; ++i) {
      BufferHandle buffer = patch_buffer(i, i >= 10 && i < 40);
      if (!with_meta) {
        gst_buffer_remove_meta(buffer.get(),
                               gst_buffer_get_meta(buffer.get(), GST_AUDIO_LEVEL_META_API_TYPE));
      }
      harness.push(std::move(buffer));
    }
    harness.finish();
  };
  CaptionHarness by_loudness("gemmacaptioner live=false", engine_of());
  feed(by_loudness, false);
  BOOST_TEST((by_loudness.pop(GST_MESSAGE_INFO) != nullptr));
  BOOST_TEST((by_loudness.pop(GST_MESSAGE_INFO) == nullptr));
  BOOST_TEST(!by_loudness.captions().empty());

  CaptionHarness by_upstream("gemmacaptioner live=false", engine_of());
  feed(by_upstream, true);
  BOOST_TEST((by_upstream.pop(GST_MESSAGE_INFO) == nullptr));

  CaptionHarness deaf("gemmacaptioner live=false voice-activity=meta", engine_of());
  feed(deaf, false);
  BOOST_TEST((deaf.pop(GST_MESSAGE_WARNING) != nullptr));
  BOOST_TEST(deaf.captions().empty());
}

BOOST_AUTO_TEST_CASE(every_property_can_be_set_and_read_back) {
  CaptionHarness harness(
      "gemmacaptioner live=false device=cuda dtype=bfloat16 threads=3 language=de lead-in=80 "
      "lead-out=120 endpoint-silence=700 segment-max=9000 min-speech=200 partial-interval=250 "
      "hold-back-words=4 tokens-per-second-max=20 scene-interval=1000 scene-prompt=What? "
      "scene-tokens-max=10 scene-frames=8 scene-frame-distance=500 voice-activity=none",
      engine_of());
  const auto number = [&](const char* name) {
    guint value = 0;
    g_object_get(harness.element(), name, &value, nullptr);
    return value;
  };
  BOOST_TEST(number("threads") == 3u);
  BOOST_TEST(number("lead-in") == 80u);
  BOOST_TEST(number("lead-out") == 120u);
  BOOST_TEST(number("endpoint-silence") == 700u);
  BOOST_TEST(number("segment-max") == 9000u);
  BOOST_TEST(number("min-speech") == 200u);
  BOOST_TEST(number("partial-interval") == 250u);
  BOOST_TEST(number("hold-back-words") == 4u);
  BOOST_TEST(number("tokens-per-second-max") == 20u);
  BOOST_TEST(number("scene-interval") == 1000u);
  BOOST_TEST(number("scene-tokens-max") == 10u);
  BOOST_TEST(number("scene-frames") == 8u);
  BOOST_TEST(number("scene-frame-distance") == 500u);
  gchar* text = nullptr;
  g_object_get(harness.element(), "scene-prompt", &text, nullptr);
  BOOST_TEST(captiond::gst::StringHandle(text).get() == std::string("What?"));
  gint choice = -1;
  g_object_get(harness.element(), "voice-activity", &choice, nullptr);
  BOOST_TEST(choice == static_cast<gint>(VoiceActivityMode::kNone));
}

BOOST_AUTO_TEST_CASE(it_can_be_started_and_stopped_a_hundred_times) {
  CaptionHarness harness("gemmacaptioner live=false", engine_of());
  for (int i = 0; i < 100; ++i) {
    BOOST_REQUIRE(gst_element_set_state(harness.element(), GST_STATE_PLAYING) ==
                  GST_STATE_CHANGE_SUCCESS);
    harness.start();
    harness.number = 0;
    BOOST_REQUIRE(harness.say(20, true) == GST_FLOW_OK);
    BOOST_REQUIRE(gst_element_set_state(harness.element(), GST_STATE_NULL) ==
                  GST_STATE_CHANGE_SUCCESS);
    BOOST_REQUIRE_EQUAL(harness.engine->contexts_alive(), 0u);
  }
  BOOST_TEST(harness.errors().empty());
}
