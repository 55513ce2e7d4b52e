#define BOOST_TEST_MODULE caption_format
#include <boost/test/unit_test.hpp>

#include "pipeline/caption_format.h"
#include "pipeline/proto_time.h"

using captiond::CaptionContent;
using captiond::CaptionFormat;
using captiond::CaptionFormatter;
using captiond::to_duration;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace v1 = captiond::v1;

namespace {

constexpr milliseconds kStart(3'723'004);
constexpr milliseconds kEnd(3'725'600);

v1::Event transcript(const std::string& text, bool final, std::uint64_t segment = 0,
                     milliseconds start = kStart, milliseconds end = kEnd) {
  v1::Event body;
  v1::Transcript& transcript = *body.mutable_transcript();
  transcript.set_text(text);
  transcript.set_final(final);
  transcript.set_language("en");
  transcript.set_segment(segment);
  *transcript.mutable_start() = to_duration(start);
  *transcript.mutable_end() = to_duration(end);
  return body;
}

v1::Event translation(const std::string& text, const std::string& language,
                      std::uint64_t segment = 0) {
  v1::Event body;
  v1::Translation& translation = *body.mutable_translation();
  translation.set_text(text);
  translation.set_language(language);
  translation.set_source_language("en");
  translation.set_segment(segment);
  *translation.mutable_start() = to_duration(kStart);
  *translation.mutable_end() = to_duration(kEnd);
  return body;
}

v1::Event scene(const std::string& text, milliseconds at) {
  v1::Event body;
  body.mutable_scene()->set_text(text);
  body.mutable_scene()->set_scene(7);
  *body.mutable_scene()->mutable_at() = to_duration(at);
  return body;
}

CaptionFormatter make(CaptionFormat format, CaptionContent content = CaptionContent::kSpeech) {
  return {format, content, "ä.wav", seconds(5)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_of_one_kind_is_a_line_a_final) {
  CaptionFormatter formatter = make(CaptionFormat::kText);
  BOOST_TEST(formatter.begin() == "");
  BOOST_TEST(formatter.caption(transcript("hel", false)) == "");
  BOOST_TEST(formatter.caption(transcript("", true)) == "");
  BOOST_TEST(formatter.caption(transcript("hello\nyou", true)) == "hello\\x0ayou\n");
  BOOST_TEST(formatter.caption(translation("hallo", "de")) == "hallo\n");
  BOOST_TEST(formatter.end() == "");
}

BOOST_AUTO_TEST_CASE(text_of_several_kinds_says_when_and_what_each_line_is) {
  CaptionFormatter formatter = make(CaptionFormat::kText, CaptionContent::kMixed);
  BOOST_TEST(formatter.caption(transcript("hello", true)) == "01:02:03.004 en     hello\n");
  BOOST_TEST(formatter.caption(translation("hallo", "de")) == "01:02:03.004 de     hallo\n");
  BOOST_TEST(formatter.caption(translation("", "de")) == "");
  BOOST_TEST(formatter.caption(scene("A red bus.", seconds(5))) == "");
  BOOST_TEST(formatter.end() == "00:00:05.000 scene  A red bus.\n");
  BOOST_TEST(formatter.label(transcript("hel", false)) == "01:02:03.004 en     ");
  CaptionFormatter scenes = make(CaptionFormat::kText, CaptionContent::kScenes);
  BOOST_TEST(scenes.caption(scene("A red bus.", seconds(5))) == "00:00:05.000 scene  A red bus.\n");
}

BOOST_AUTO_TEST_CASE(a_scene_waits_for_what_was_said_before_it) {
  CaptionFormatter formatter = make(CaptionFormat::kText, CaptionContent::kMixed);
  const auto spoken = [](seconds start, bool final) {
    return transcript("hello", final, 0, start, start + seconds(1));
  };
  BOOST_TEST(formatter.caption(scene("A cat.", seconds(0))) == "");
  BOOST_TEST(formatter.caption(scene("A bus.", seconds(5))) == "");
  BOOST_TEST(formatter.caption(scene("A dog.", seconds(10))) == "");
  BOOST_TEST(formatter.caption(spoken(seconds(3), false)) == "00:00:00.000 scene  A cat.\n");
  BOOST_TEST(formatter.caption(spoken(seconds(3), true)) == "00:00:03.000 en     hello\n");
  BOOST_TEST(formatter.caption(spoken(seconds(8), true)) ==
             "00:00:05.000 scene  A bus.\n00:00:08.000 en     hello\n");
  // Nobody says anything for a minute.
  BOOST_TEST(formatter.caption(scene("A fox.", seconds(69))) == "");
  BOOST_TEST(formatter.caption(scene("A hen.", seconds(70))) == "00:00:10.000 scene  A dog.\n");
  BOOST_TEST(formatter.end() == "00:01:09.000 scene  A fox.\n00:01:10.000 scene  A hen.\n");
  BOOST_TEST(formatter.end() == "");
}

BOOST_AUTO_TEST_CASE(vtt_escapes_what_it_must) {
  CaptionFormatter formatter = make(CaptionFormat::kVtt);
  BOOST_TEST(formatter.begin() == "WEBVTT\n\n");
  BOOST_TEST(formatter.caption(transcript("a <b> & --> c", true)) ==
             "01:02:03.004 --> 01:02:05.600\na &lt;b&gt; &amp; --&gt; c\n\n");
}

BOOST_AUTO_TEST_CASE(srt_counts_its_cues) {
  CaptionFormatter formatter = make(CaptionFormat::kSrt);
  BOOST_TEST(formatter.begin() == "");
  BOOST_TEST(formatter.caption(transcript("", true)) == "");
  BOOST_TEST(formatter.caption(transcript("one", true)) ==
             "1\n01:02:03,004 --> 01:02:05,600\none\n\n");
  BOOST_TEST(formatter.caption(transcript("two", true)) ==
             "2\n01:02:03,004 --> 01:02:05,600\ntwo\n\n");
}

BOOST_AUTO_TEST_CASE(files_of_one_kind_have_no_marks) {
  CaptionFormatter german = make(CaptionFormat::kVtt);
  BOOST_TEST(german.caption(translation("hallo", "de")) ==
             "01:02:03.004 --> 01:02:05.600\nhallo\n\n");
  CaptionFormatter scenes = make(CaptionFormat::kSrt, CaptionContent::kScenes);
  BOOST_TEST(scenes.caption(scene("A bus.", seconds(10))) ==
             "1\n00:00:10,000 --> 00:00:15,000\nA bus.\n\n");
  BOOST_TEST(scenes.end() == "");
}

BOOST_AUTO_TEST_CASE(cues_of_several_kinds_come_at_the_end_in_the_order_of_their_times) {
  const auto feed = [](CaptionFormatter& formatter) {
    std::string text;
    for (const v1::Event& body :
         {scene("A cat.", seconds(0)), scene("A bus.", seconds(5)),
          transcript("hel", false, 0, seconds(1), seconds(2)),
          transcript("hello", true, 0, seconds(1), seconds(4)),
          transcript("you & I", true, 1, seconds(6), seconds(9)), translation("hola", "es", 0),
          translation("", "de", 1), translation("hallo", "de", 0),
          translation("tú <y> yo", "es", 1)}) {
      text += formatter.caption(body);
    }
    BOOST_TEST(text == "");
    text = formatter.end();
    BOOST_TEST(formatter.end() == "");
    return text;
  };
  CaptionFormatter vtt = make(CaptionFormat::kVtt, CaptionContent::kMixed);
  BOOST_TEST(feed(vtt) ==
             "00:00:00.000 --> 00:00:05.000 line:0\n[A cat.]\n\n"
             "00:00:01.000 --> 00:00:04.000\nhello\n<lang de>hallo</lang>\n<lang es>hola</lang>\n\n"
             "00:00:05.000 --> 00:00:10.000 line:0\n[A bus.]\n\n"
             "00:00:06.000 --> 00:00:09.000\nyou &amp; I\n<lang es>tú &lt;y&gt; yo</lang>\n\n");
  CaptionFormatter srt = make(CaptionFormat::kSrt, CaptionContent::kMixed);
  BOOST_TEST(feed(srt) ==
             "1\n00:00:00,000 --> 00:00:05,000\n[A cat.]\n\n"
             "2\n00:00:01,000 --> 00:00:04,000\nhello\nhallo\nhola\n\n"
             "3\n00:00:05,000 --> 00:00:10,000\n[A bus.]\n\n"
             "4\n00:00:06,000 --> 00:00:09,000\nyou & I\ntú <y> yo\n\n");
}

BOOST_AUTO_TEST_CASE(json_has_partials_too_and_names_file_and_kind) {
  CaptionFormatter formatter = make(CaptionFormat::kJson, CaptionContent::kMixed);
  BOOST_TEST(formatter.caption(transcript("hel", false)) ==
             "{\"file\":\"ä.wav\",\"kind\":\"transcript\",\"segment\":0,\"revision\":0,"
             "\"final\":false,\"text\":\"hel\",\"stable_length\":0,\"language\":\"en\","
             "\"start\":3723.004,\"end\":3725.6,\"truncated\":false}\n");
  BOOST_TEST(formatter.caption(translation("", "de", 3)) ==
             "{\"file\":\"ä.wav\",\"kind\":\"translation\",\"segment\":3,\"text\":\"\","
             "\"language\":\"de\",\"source_language\":\"en\",\"start\":3723.004,\"end\":3725.6,"
             "\"truncated\":false}\n");
  BOOST_TEST(formatter.caption(scene("A bus.", milliseconds(2500))) == "");
  BOOST_TEST(formatter.end() ==
             "{\"file\":\"ä.wav\",\"kind\":\"scene\",\"scene\":7,\"text\":\"A bus.\",\"at\":2.5,"
             "\"truncated\":false}\n");
  BOOST_TEST(formatter.end() == "");
}

BOOST_AUTO_TEST_CASE(what_is_no_caption_is_not_written) {
  v1::Event gap;
  gap.mutable_gap()->set_reason(v1::Gap::SOURCE_MISSING);
  for (const auto format : {CaptionFormat::kText, CaptionFormat::kJson, CaptionFormat::kVtt}) {
    CaptionFormatter formatter = make(format, CaptionContent::kMixed);
    BOOST_TEST(formatter.caption(gap) == "");
    BOOST_TEST(formatter.end() == "");
  }
}
