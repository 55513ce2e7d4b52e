#define BOOST_TEST_MODULE caption_message
#include <chrono>
#include <string>

#include <boost/test/unit_test.hpp>

#include "elements/caption_message.h"

namespace gst = captiond::gst;
using captiond::CaptionEvent;
using namespace std::chrono_literals;

namespace {

struct GstInit {
  GstInit() { gst_init(nullptr, nullptr); }
};

captiond::TranscriptEvent transcript() {
  captiond::TranscriptEvent e;
  e.segment = 7;
  e.revision = 3;
  e.text = "grüß Gott, everyone";
  e.stable_length = 11;
  e.language = "en";
  e.start = 1520ms;
  e.end = 4s;
  e.truncated = true;
  return e;
}

CaptionEvent there_and_back(const CaptionEvent& event) {
  const gst::StructureHandle structure = gst::to_structure(event);
  BOOST_REQUIRE(structure != nullptr);
  const auto parsed = gst::parse_caption(structure.get());
  BOOST_REQUIRE(parsed.has_value());
  return *parsed;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(GstInit);

BOOST_AUTO_TEST_CASE(every_event_for_the_bus_comes_back_as_it_was) {
  captiond::TranscriptEvent final_one = transcript();
  final_one.final = true;
  final_one.truncated = false;
  captiond::TranslationEvent translation;
  translation.segment = 7;
  translation.text = "hello everyone";
  translation.source_language = "de";
  translation.language = "en";
  translation.start = 1520ms;
  translation.end = 4s;
  captiond::SceneEvent scene;
  scene.scene = 2;
  scene.text = "A red bus.";
  scene.time = 12s;
  scene.end = 17s;
  scene.truncated = true;
  const CaptionEvent events[] = {transcript(), final_one, translation, scene,
                                 captiond::LossEvent{3s, 5s}};
  for (const CaptionEvent& event : events) BOOST_CHECK(there_and_back(event) == event);
}

BOOST_AUTO_TEST_CASE(every_counter_has_its_field) {
  captiond::CaptionCounters counters;
  counters.segments = 3;
  counters.dropped = 5;
  const gst::StructureHandle structure = gst::to_structure(counters);
  BOOST_TEST(gst_structure_n_fields(structure.get()) == 11);
  guint64 value = 0;
  BOOST_TEST(gst_structure_get_uint64(structure.get(), "segments", &value));
  BOOST_TEST(value == 3u);
  BOOST_TEST(gst_structure_get_uint64(structure.get(), "dropped", &value));
  BOOST_TEST(value == 5u);
}

BOOST_AUTO_TEST_CASE(silence_has_no_message) {
  BOOST_TEST(gst::to_structure(captiond::SilenceEvent{0s, 1s}).get() == nullptr);
}

BOOST_AUTO_TEST_CASE(a_structure_that_lacks_a_field_is_no_event) {
  gst::StructureHandle structure = gst::to_structure(transcript());
  for (const char* field : {"segment", "revision", "final", "text", "stable-length", "language",
                            "start", "end", "truncated"}) {
    const gst::StructureHandle lacking(gst_structure_copy(structure.get()));
    gst_structure_remove_field(lacking.get(), field);
    BOOST_TEST(!gst::parse_caption(lacking.get()).has_value(), field);
  }
  gst_structure_set_name(structure.get(), "level");
  BOOST_TEST(!gst::parse_caption(structure.get()).has_value());
}

BOOST_AUTO_TEST_CASE(only_element_messages_carry_events) {
  const gst::MessageHandle eos(gst_message_new_eos(nullptr));
  BOOST_TEST(!gst::parse_caption(eos.get()).has_value());
  const gst::MessageHandle ours(
      gst_message_new_element(nullptr, gst::to_structure(transcript()).release()));
  BOOST_TEST(gst::parse_caption(ours.get()).has_value());
}
