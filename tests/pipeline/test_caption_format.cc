#define BOOST_TEST_MODULE caption_format
#include <boost/test/unit_test.hpp>

#include "pipeline/caption_format.h"
#include "pipeline/proto_time.h"

using captiond::CaptionFormat;
using captiond::CaptionFormatter;
namespace v1 = captiond::v1;

namespace {

v1::Transcript transcript(const std::string& text, bool final) {
  v1::Transcript transcript;
  transcript.set_text(text);
  transcript.set_final(final);
  transcript.set_language("en");
  *transcript.mutable_start() = captiond::to_duration(std::chrono::milliseconds(3'723'004));
  *transcript.mutable_end() = captiond::to_duration(std::chrono::milliseconds(3'725'600));
  return transcript;
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_is_a_line_a_final) {
  CaptionFormatter formatter(CaptionFormat::kText, "a.wav");
  BOOST_TEST(formatter.begin() == "");
  BOOST_TEST(formatter.caption(transcript("hel", false)) == "");
  BOOST_TEST(formatter.caption(transcript("", true)) == "");
  BOOST_TEST(formatter.caption(transcript("hello\nyou", true)) == "hello\\x0ayou\n");
}

BOOST_AUTO_TEST_CASE(vtt_escapes_what_it_must) {
  CaptionFormatter formatter(CaptionFormat::kVtt, "a.wav");
  BOOST_TEST(formatter.begin() == "WEBVTT\n\n");
  BOOST_TEST(formatter.caption(transcript("a <b> & --> c", true)) ==
             "01:02:03.004 --> 01:02:05.600\na &lt;b&gt; &amp; --&gt; c\n\n");
}

BOOST_AUTO_TEST_CASE(srt_counts_its_cues) {
  CaptionFormatter formatter(CaptionFormat::kSrt, "a.wav");
  BOOST_TEST(formatter.begin() == "");
  BOOST_TEST(formatter.caption(transcript("", true)) == "");
  BOOST_TEST(formatter.caption(transcript("one", true)) ==
             "1\n01:02:03,004 --> 01:02:05,600\none\n\n");
  BOOST_TEST(formatter.caption(transcript("two", true)) ==
             "2\n01:02:03,004 --> 01:02:05,600\ntwo\n\n");
}

BOOST_AUTO_TEST_CASE(json_has_partials_too_and_names_the_file) {
  CaptionFormatter formatter(CaptionFormat::kJson, "ä.wav");
  BOOST_TEST(formatter.caption(transcript("hel", false)) ==
             "{\"file\":\"ä.wav\",\"segment\":0,\"revision\":0,\"final\":false,\"text\":\"hel\","
             "\"stable_length\":0,\"language\":\"en\",\"start\":3723.004,\"end\":3725.6,"
             "\"truncated\":false}\n");
}
