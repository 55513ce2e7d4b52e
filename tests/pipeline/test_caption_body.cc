#define BOOST_TEST_MODULE caption_body
#include <chrono>

#include <boost/test/unit_test.hpp>

#include "pipeline/caption_body.h"
#include "pipeline/proto_time.h"

using captiond::caption_body;
using captiond::from_duration;
using std::chrono::milliseconds;
namespace v1 = captiond::v1;

namespace {

const captiond::WallZero kWall =
    std::chrono::system_clock::time_point(std::chrono::seconds(1'000'000));

}  // namespace

BOOST_AUTO_TEST_CASE(a_transcript_keeps_all_it_says) {
  const captiond::TranscriptEvent event = {.segment = 3,
                                           .revision = 4,
                                           .final = true,
                                           .text = "hello",
                                           .stable_length = 5,
                                           .language = "en",
                                           .start = milliseconds(1500),
                                           .end = milliseconds(2750),
                                           .truncated = true};
  const v1::Transcript transcript = caption_body(event, kWall).value().transcript();
  BOOST_TEST(transcript.segment() == 3u);
  BOOST_TEST(transcript.revision() == 4u);
  BOOST_TEST(transcript.final());
  BOOST_TEST(transcript.text() == "hello");
  BOOST_TEST(transcript.stable_length() == 5u);
  BOOST_TEST(transcript.language() == "en");
  BOOST_TEST((from_duration(transcript.start()) == milliseconds(1500)));
  BOOST_TEST((from_duration(transcript.end()) == milliseconds(2750)));
  BOOST_TEST(transcript.truncated());
  BOOST_TEST(transcript.started_at().seconds() == 1'000'001);
  BOOST_TEST(transcript.started_at().nanos() == 500'000'000);
}

BOOST_AUTO_TEST_CASE(without_a_wall_clock_there_is_none_in_the_event) {
  const auto body = caption_body(captiond::TranscriptEvent{}, std::nullopt).value();
  BOOST_TEST(!body.transcript().has_started_at());
  BOOST_TEST(body.transcript().has_start());
}

BOOST_AUTO_TEST_CASE(translations_scenes_and_losses_have_bodies_and_silence_has_none) {
  const captiond::TranslationEvent translation = {.segment = 2,
                                                  .text = "hallo",
                                                  .source_language = "en",
                                                  .language = "de",
                                                  .start = milliseconds(10),
                                                  .end = milliseconds(20)};
  const auto german = caption_body(translation, kWall).value().translation();
  BOOST_TEST(german.text() == "hallo");
  BOOST_TEST(german.language() == "de");
  BOOST_TEST(german.source_language() == "en");
  BOOST_TEST(german.segment() == 2u);
  const auto scene =
      caption_body(captiond::SceneEvent{.scene = 1, .text = "a cat", .time = milliseconds(40)},
                   kWall)
          .value()
          .scene();
  BOOST_TEST(scene.text() == "a cat");
  BOOST_TEST((from_duration(scene.at()) == milliseconds(40)));
  const auto gap =
      caption_body(captiond::LossEvent{.start = milliseconds(80), .end = milliseconds(120)}, kWall);
  BOOST_TEST(gap.value().gap().reason() == v1::Gap::ENGINE_BEHIND);
  BOOST_TEST((from_duration(gap.value().gap().end()) == milliseconds(120)));
  BOOST_TEST(!caption_body(captiond::SilenceEvent{}, kWall).has_value());
}
