#define BOOST_TEST_MODULE caption_output
#include <filesystem>
#include <fstream>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "pipeline/caption_output.h"
#include "pipeline/config_error.h"
#include "pipeline/proto_time.h"
#include "pipeline/stream_error.h"
#include "tests/support/temporary_folder.h"

using captiond::caption_stem;
using captiond::CaptionFormat;
using captiond::CaptionOutput;
using captiond::ConfigError;
using captiond::StreamError;
using captiond::to_duration;
using captiond::test::TemporaryFolder;
using std::chrono::seconds;
namespace v1 = captiond::v1;

namespace {

v1::StreamConfig everything() {
  v1::StreamConfig stream;
  stream.mutable_captions()->set_enabled(true);
  stream.mutable_captions()->set_language("English");
  stream.mutable_captions()->add_translations("German");
  stream.mutable_scenes()->set_enabled(true);
  *stream.mutable_scenes()->mutable_interval() = to_duration(seconds(5));
  return stream;
}

v1::StreamConfig speech_alone() {
  v1::StreamConfig stream = everything();
  stream.mutable_captions()->clear_translations();
  stream.mutable_scenes()->set_enabled(false);
  return stream;
}

v1::Event transcript(const std::string& text, bool final) {
  v1::Event body;
  body.mutable_transcript()->set_text(text);
  body.mutable_transcript()->set_final(final);
  body.mutable_transcript()->set_language("en");
  *body.mutable_transcript()->mutable_end() = to_duration(seconds(2));
  return body;
}

v1::Event translation(const std::string& text) {
  v1::Event body;
  body.mutable_translation()->set_text(text);
  body.mutable_translation()->set_language("de");
  *body.mutable_translation()->mutable_end() = to_duration(seconds(2));
  return body;
}

v1::Event scene(const std::string& text) {
  v1::Event body;
  body.mutable_scene()->set_text(text);
  return body;
}

void write_all(CaptionOutput& output) {
  output.write(scene("A bus."));
  output.write(transcript("hel", false));
  output.write(transcript("hello", true));
  output.write(translation("hallo"));
  output.finish();
}

std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  BOOST_TEST_REQUIRE(stream.is_open(), file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(standard_output_gets_everything) {
  std::ostringstream out;
  CaptionOutput output(everything(), CaptionFormat::kText, "a.mp4", out, std::nullopt);
  write_all(output);
  BOOST_TEST(out.str() ==
             "00:00:00.000 scene  A bus.\n00:00:00.000 en     hello\n00:00:00.000 de     hallo\n");
  std::ostringstream cues;
  CaptionOutput vtt(everything(), CaptionFormat::kVtt, "a.mp4", cues, std::nullopt);
  write_all(vtt);
  BOOST_TEST(cues.str() ==
             "WEBVTT\n\n00:00:00.000 --> 00:00:05.000 line:0\n[A bus.]\n\n"
             "00:00:00.000 --> 00:00:02.000\nhello\n<lang de>hallo</lang>\n\n");
}

BOOST_AUTO_TEST_CASE(words_alone_are_not_marked) {
  std::ostringstream out;
  CaptionOutput output(speech_alone(), CaptionFormat::kText, "a.mp4", out, std::nullopt);
  output.write(transcript("hello", true));
  output.finish();
  BOOST_TEST(out.str() == "hello\n");
}

BOOST_AUTO_TEST_CASE(nothing_is_written_before_there_is_something) {
  std::ostringstream out;
  CaptionOutput output(speech_alone(), CaptionFormat::kVtt, "a.mp4", out, std::nullopt);
  BOOST_TEST(out.str() == "");
  output.finish();  // silence from begin to end
  BOOST_TEST(out.str() == "WEBVTT\n\n");
}

BOOST_AUTO_TEST_CASE(partials_are_lines_of_their_own_where_none_can_be_replaced) {
  std::ostringstream out;
  CaptionOutput output(everything(), CaptionFormat::kText, "a.mp4", out, 0);
  write_all(output);
  BOOST_TEST(out.str() ==
             "00:00:00.000 scene  A bus.\n~ 00:00:00.000 en     hel\n"
             "00:00:00.000 en     hello\n00:00:00.000 de     hallo\n");
}

BOOST_AUTO_TEST_CASE(a_partial_on_a_terminal_stays_below_what_is_final) {
  std::ostringstream out;
  CaptionOutput output(everything(), CaptionFormat::kText, "a.mp4", out, 80);
  output.write(transcript("hel", false));
  output.write(translation("hallo"));
  const std::string text = out.str();
  BOOST_TEST(text.find("de     hallo\n") < text.rfind("hel"));
}

BOOST_AUTO_TEST_CASE(each_kind_has_a_file_of_its_own) {
  const TemporaryFolder folder;
  CaptionOutput output(everything(), CaptionFormat::kSrt, "a.mp4", folder.path(), "a");
  write_all(output);
  BOOST_TEST(content(folder.path() / "a.en.srt") == "1\n00:00:00,000 --> 00:00:02,000\nhello\n\n");
  BOOST_TEST(content(folder.path() / "a.de.srt") == "1\n00:00:00,000 --> 00:00:02,000\nhallo\n\n");
  BOOST_TEST(content(folder.path() / "a.scenes.srt") ==
             "1\n00:00:00,000 --> 00:00:05,000\nA bus.\n\n");
  CaptionOutput text(speech_alone(), CaptionFormat::kText, "a.mp4", folder.path(), "a");
  write_all(text);
  BOOST_TEST(content(folder.path() / "a.en.txt") == "hello\n");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "a.scenes.txt"));
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
  const TemporaryFolder folder;
  const auto nowhere = folder.path() / "nowhere";
  BOOST_CHECK_EXCEPTION(CaptionOutput(everything(), CaptionFormat::kSrt, "a.mp4", nowhere, "a"),
                        StreamError, [&](const StreamError& error) {
                          return error.what() ==
                                 (nowhere / "a.en.srt").native() +
                                     " cannot be written: No such file or directory";
                        });
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder.path() / "a.en.txt.part");
  CaptionOutput output(speech_alone(), CaptionFormat::kText, "a.mp4", folder.path(), "a");
  output.write(transcript("hello", true));
  BOOST_CHECK_THROW(output.finish(), StreamError);
  BOOST_TEST(!std::filesystem::exists(folder.path() / "a.en.txt"));
}

BOOST_AUTO_TEST_CASE(files_are_replaced_only_when_the_new_ones_are_whole) {
  const TemporaryFolder folder;
  folder.write("a.en.txt", "old\n");
  {
    CaptionOutput output(speech_alone(), CaptionFormat::kText, "a.mp4", folder.path(), "a");
    BOOST_TEST(!output.written());
    output.write(transcript("new", true));
    BOOST_TEST(output.written());
    BOOST_TEST(content(folder.path() / "a.en.txt") == "old\n");
  }
  BOOST_TEST(content(folder.path() / "a.en.txt") == "old\n");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "a.en.txt.part"));
  CaptionOutput output(speech_alone(), CaptionFormat::kText, "a.mp4", folder.path(), "a");
  output.write(transcript("new", true));
  output.finish();
  BOOST_TEST(content(folder.path() / "a.en.txt") == "new\n");
}

BOOST_AUTO_TEST_CASE(files_are_named_for_their_media) {
  BOOST_TEST(caption_stem("talk.mp4") == "talk");
  BOOST_TEST(caption_stem("/films/my.first talk.mp4") == "my.first talk");
  BOOST_TEST(caption_stem("../50% #1 ä?.wav") == "50% #1 ä?");
  BOOST_TEST(caption_stem("file:///films/talk%20two.mp4") == "talk two");
  BOOST_TEST(caption_stem("https://films.example/a/talk.mp4?token=x/y.z#t=5") == "talk");
  for (const char* nameless : {"https://films.example", "https://films.example/", "..", "/",
                               "data:audio/wav;base64,AAAA/BBBB"}) {
    BOOST_CHECK_THROW(caption_stem(nameless), ConfigError);
  }
}
