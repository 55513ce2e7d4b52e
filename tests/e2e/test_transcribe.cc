#define BOOST_TEST_MODULE transcribe
// `captiond transcribe` as a process, with a scripted engine that hears "hello world".

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <signal.h>
#include <sstream>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/e2e/child_process.h"
#include "tests/e2e/daemon_bench.h"
#include "tests/e2e/media_files.h"
#include "tests/support/temporary_folder.h"

using captiond::test::ChildProcess;
using captiond::test::Outcome;
using captiond::test::program;
using captiond::test::run;
using captiond::test::TemporaryFolder;
using captiond::test::tone_wav;

namespace {

// The shipped recording: a detector of speech needs speech.
constexpr const char* kSpeech = "assets/samples/meeting.flac";

struct Fixture {
  TemporaryFolder folder;
  std::string model = captiond::test::write_scripted_model(folder, "hello world").native();

  std::string path(const std::string& name) const { return (folder.path() / name).native(); }

  Outcome transcribe(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all = {program(), "transcribe", "--model", model};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
  }
};

// A film of the recording whose picture ends after ten seconds.
void write_talk(const std::string& file) {
  captiond::test::run_pipeline(
      "filesrc location=" + std::string(kSpeech) +
      " ! flacparse ! flacdec ! audioconvert ! audioresample ! vorbisenc ! webmmux name=mux ! "
      "filesink location=" +
      file +
      " videotestsrc num-buffers=100 ! video/x-raw,width=160,height=120,framerate=10/1 ! vp8enc "
      "deadline=1 ! mux.");
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(text_is_the_finals_alone_on_standard_output, Fixture) {
  const Outcome outcome = transcribe({kSpeech});
  BOOST_TEST(outcome.code == 0);
  const auto lines = lines_of(outcome.out);
  BOOST_TEST(lines.size() > 2u);
  for (const std::string& line : lines) BOOST_TEST(line == "hello world");
  // One line of summary, nothing else.
  BOOST_TEST(count(outcome.err, "\n") == 1u, outcome.err);
  BOOST_TEST(outcome.err.starts_with(std::string(kSpeech) + ": "), outcome.err);
  BOOST_TEST(outcome.err.find(" of real time, " + std::to_string(lines.size()) + " captions") !=
             std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(json_is_an_object_a_line, Fixture) {
  const Outcome outcome = transcribe({"--format", "json", kSpeech});
  BOOST_TEST(outcome.code == 0);
  double end = 0;
  for (const std::string& line : lines_of(outcome.out)) {
    const auto json = nlohmann::json::parse(line);
    BOOST_TEST(json.at("file") == kSpeech);
    BOOST_TEST(json.at("text") == "hello world");
    BOOST_TEST(json.at("language") == "en");
    BOOST_TEST(json.at("final") == true);
    BOOST_TEST(json.at("start").get<double>() >= end);
    end = json.at("end").get<double>();
    BOOST_TEST(end > json.at("start").get<double>());
  }
  BOOST_TEST(end > 10);
}

BOOST_FIXTURE_TEST_CASE(partials_come_when_asked_for, Fixture) {
  const Outcome json = transcribe({"--format", "json", "--partials", kSpeech});
  BOOST_TEST(json.code == 0);
  BOOST_TEST(count(json.out, "\"final\":false") >= count(json.out, "\"final\":true"));
  BOOST_TEST(count(json.out, "\"final\":true") > 2u);
  const Outcome text = transcribe({"--partials", kSpeech});
  BOOST_TEST(text.code == 0);
  BOOST_TEST(count(text.out, "~ hello world\n") > 2u);
}

BOOST_FIXTURE_TEST_CASE(vtt_and_srt_are_cues_with_times, Fixture) {
  const Outcome vtt = transcribe({"--format", "vtt", kSpeech});
  BOOST_TEST(vtt.code == 0);
  BOOST_TEST(vtt.out.starts_with("WEBVTT\n\n00:00:0"));
  BOOST_TEST(count(vtt.out, " --> ") > 2u);
  const Outcome srt = transcribe({"--format", "srt", kSpeech});
  BOOST_TEST(srt.code == 0);
  BOOST_TEST(srt.out.starts_with("1\n00:00:0"));
  BOOST_TEST(count(srt.out, "\nhello world\n\n") == count(vtt.out, "\nhello world\n\n"));
}

BOOST_FIXTURE_TEST_CASE(translations_and_scenes_come_when_asked_for, Fixture) {
  write_talk(path("talk.webm"));
  const Outcome outcome = transcribe(
      {"--translate", "German,es", "--scenes", "2.5", "--format", "json", path("talk.webm")});
  BOOST_TEST(outcome.code == 0, outcome.err);
  std::vector<std::uint64_t> spoken;
  std::map<std::string, std::vector<std::uint64_t>> translated;
  std::vector<double> seen;
  for (const std::string& line : lines_of(outcome.out)) {
    const auto json = nlohmann::json::parse(line);
    if (json.at("kind") == "transcript") spoken.push_back(json.at("segment"));
    if (json.at("kind") == "translation") {
      BOOST_TEST(json.at("source_language") == "en");
      translated[json.at("language")].push_back(json.at("segment"));
    }
    if (json.at("kind") == "scene") {
      BOOST_TEST(json.at("text") == "hello world");
      seen.push_back(json.at("at"));
    }
  }
  BOOST_TEST(spoken.size() > 2u);
  BOOST_TEST(translated["de"] == spoken, boost::test_tools::per_element());
  BOOST_TEST(translated["es"] == spoken, boost::test_tools::per_element());
  BOOST_TEST(seen == (std::vector<double>{0, 2.5, 5, 7.5}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(text_with_scenes_says_what_each_line_is, Fixture) {
  write_talk(path("talk.webm"));
  const Outcome outcome = transcribe({"--scenes", "5", path("talk.webm")});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.out.find("00:00:05.000 scene  hello world\n") != std::string::npos);
  const auto lines = lines_of(outcome.out);
  const auto scenes = count(outcome.out, " scene  hello world\n");
  BOOST_TEST(scenes == 2u);
  BOOST_TEST(count(outcome.out, " en     hello world\n") == lines.size() - scenes);
  BOOST_TEST(outcome.err.find(std::to_string(lines.size() - scenes) + " captions, 2 scenes\n") !=
             std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(files_hold_a_kind_each, Fixture) {
  write_talk(path("talk.webm"));
  const std::string out = path("new/folder");
  const Outcome outcome = transcribe({"--translate=de", "--scenes=5", "--format=srt",
                                      "--output=" + out, path("talk.webm"), kSpeech});
  // The recording has no picture, so nothing of it is written.
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.out == "");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(out)) {
    names.insert(entry.path().filename().native());
  }
  const std::set<std::string> expected = {"talk.en.srt", "talk.de.srt", "talk.scenes.srt"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  std::ifstream file(out + "/talk.scenes.srt");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  BOOST_TEST(text ==
             "1\n00:00:00,000 --> 00:00:05,000\nhello world\n\n"
             "2\n00:00:05,000 --> 00:00:10,000\nhello world\n\n");
}

BOOST_FIXTURE_TEST_CASE(a_film_without_sound_can_be_described, Fixture) {
  captiond::test::write_film(path("mute.webm"), false);
  const Outcome outcome = transcribe({"--scenes", "0.5", "--no-speech", path("mute.webm")});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.out == "00:00:00.000 scene  hello world\n00:00:00.520 scene  hello world\n");
  BOOST_TEST(outcome.err.find("of real time, 2 scenes\n") != std::string::npos, outcome.err);
  const Outcome videos =
      transcribe({"--scenes", "0.5", "--scene-frames", "2", "--no-speech", path("mute.webm")});
  BOOST_TEST(videos.code == 0, videos.err);
  BOOST_TEST(videos.out == outcome.out);
}

BOOST_FIXTURE_TEST_CASE(a_file_that_lacks_what_was_asked_for_is_said, Fixture) {
  captiond::test::write_film(path("mute.webm"), false);
  const Outcome outcome = transcribe({"--scenes", "5", kSpeech, path("mute.webm")});
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.out == "");
  const std::string speech = std::filesystem::absolute(kSpeech).native();
  BOOST_TEST(outcome.err == "captiond: " + speech + " has no video track to describe\ncaptiond: " +
                                path("mute.webm") + " has no audio track to caption\n");
}

BOOST_FIXTURE_TEST_CASE(silence_has_no_captions, Fixture) {
  folder.write("silence.wav", captiond::test::wav_header(160'000) + std::string(160'000, '\0'));
  const Outcome outcome = transcribe({path("silence.wav")});
  BOOST_TEST(outcome.code == 0);
  BOOST_TEST(outcome.out == "");
}

BOOST_FIXTURE_TEST_CASE(a_file_that_fails_has_no_beginning, Fixture) {
  const Outcome outcome = transcribe({"--format", "vtt", path("absent.wav")});
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.out == "");
}

BOOST_FIXTURE_TEST_CASE(sound_of_a_film_is_heard, Fixture) {
  captiond::test::write_film(path("film.webm"), true);
  const Outcome outcome = transcribe({path("film.webm")});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.err.find("film.webm: 1.0 s in ") != std::string::npos, outcome.err);
}

BOOST_FIXTURE_TEST_CASE(files_that_fail_are_said_and_the_others_done, Fixture) {
  folder.write("text.wav", "no sound, just text, whatever the name says\n");
  folder.write("empty.wav", "");
  captiond::test::write_film(path("mute.webm"), false);
  const Outcome outcome = transcribe({path("absent.wav"), path("text.wav"), path("empty.wav"),
                                      path("mute.webm"), folder.path().native(), kSpeech});
  BOOST_TEST(outcome.code == 1);
  const std::vector<std::string> expected = {
      "captiond: " + path("absent.wav") + " cannot be opened: No such file or directory",
      "captiond: " + path("text.wav") + " cannot be played: Could not determine type of stream",
      "captiond: " + path("empty.wav") + " is empty",
      "captiond: " + path("mute.webm") + " has no audio track that can be decoded",
      "captiond: " + folder.path().native() + " is no regular file",
  };
  const auto lines = lines_of(outcome.err);
  BOOST_REQUIRE_MESSAGE(lines.size() == expected.size() + 1, outcome.err);
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(lines[i] == expected[i]);
  BOOST_TEST(count(outcome.out, "hello world\n") > 2u);
}

BOOST_FIXTURE_TEST_CASE(a_path_with_odd_characters_is_a_path, Fixture) {
  folder.write("50% #1 ä?.wav", tone_wav(1));
  const Outcome outcome = transcribe({path("50% #1 ä?.wav")});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.err.find("50% #1 ä?.wav: 1.0 s in ") != std::string::npos, outcome.err);
}

BOOST_FIXTURE_TEST_CASE(the_model_may_come_from_the_environment, Fixture) {
  const Outcome outcome = run({program(), "transcribe", kSpeech}, {{"CAPTIOND_MODEL", model}});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(outcome.out.starts_with("hello world\n"));
}

BOOST_FIXTURE_TEST_CASE(what_cannot_start_ends_with_code_2_and_one_sentence, Fixture) {
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& sentence) {
    const Outcome outcome = transcribe(arguments);
    BOOST_TEST(outcome.code == 2);
    BOOST_TEST(outcome.out == "");
    BOOST_TEST(outcome.err == "captiond: " + sentence + "\n");
  };
  refused({"--format", "vtt", "a.wav", "b.wav"},
          "--format vtt and srt take one file at a time: their times belong to one file, and "
          "several would run together on standard output; --output DIR writes files for each");
  refused({"--format", "srt", "--partials", "a.wav"},
          "--partials goes with --format text and json only: a cue of vtt or srt cannot be "
          "replaced");
  refused({"--language", "Klingon", "a.wav"},
          "--language is \"Klingon\", which is no known language");
  refused({"--device", "gpu", "a.wav"}, "--device: expected one of cpu, cuda, found \"gpu\"");
  refused({"--device", "cuda", "--dtype", "float32", "a.wav"},
          "--dtype is float32, but --device cuda computes in bfloat16: leave --dtype out");
  refused({"--weights", "int8", "a.wav"},
          "--weights is for --device cuda: the CPU computes with the checkpoint's weights as they "
          "are");
}

BOOST_FIXTURE_TEST_CASE(wishes_that_cannot_be_met_end_with_code_2_and_one_sentence, Fixture) {
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& sentence) {
    const Outcome outcome = transcribe(arguments);
    BOOST_TEST(outcome.code == 2);
    BOOST_TEST(outcome.out == "");
    BOOST_TEST(outcome.err == "captiond: " + sentence + "\n");
  };
  refused({"--translate", "Germen", "a.wav"},
          "--translate is \"Germen\", which is no known language; did you mean \"German\"?");
  refused({"--translate", "de,German", "a.wav"},
          "--translate is \"German\", which is the spoken language or there already");
  refused({"--translate", "en", "a.wav"},
          "--translate is \"en\", which is the spoken language or there already");
  refused({"--scenes", "0", "a.wav"}, "--scenes is 0s, allowed is 100ms to 1h");
  refused({"--scenes", "5", "--scene-frames", "33", "a.wav"},
          "--scene-frames is 33, allowed is 1 to 32");
  refused({"--scene-frames", "4", "a.wav"},
          "--scene-frames is for --scenes: say how often to describe with it");
  refused({"--scenes", "often", "a.wav"},
          "--scenes: expected a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h, "
          "found \"often\"");
  refused({"--no-speech", "a.wav"},
          "--no-speech leaves nothing to write: ask for --scenes as well");
  refused({"--no-speech", "--scenes", "5", "--translate", "de", "a.wav"},
          "--no-speech goes with neither --translate nor --partials: both need words");
  refused({"--output", path("out"), "--partials", "a.wav"},
          "--partials of --format text are shown on standard output and are not for files: leave "
          "out --output, or take --format json");
  refused({"--output", path("out"), "a/talk.wav", "b/talk.mp4"},
          "--output would write the captions of \"b/talk.mp4\" over those of \"a/talk.wav\", "
          "which has the same name: caption them into two folders");
  refused({"--output", model + "/answer.txt", "a.wav"},
          "--output is \"" + model +
              "/answer.txt\", which is no folder and cannot be made: Not "
              "a directory");
}

BOOST_AUTO_TEST_CASE(the_command_line_is_checked) {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& sentence) {
    std::vector<std::string> all = {program()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = run(all);
    BOOST_TEST(outcome.code == 2);
    BOOST_TEST(outcome.out == "");
    BOOST_TEST(outcome.err == "captiond: " + sentence + "\n");
  };
  refused({}, "A subcommand is required (see captiond --help)");
  refused(
      {"dance"},
      "there is no command \"dance\"; known are serve, transcribe, check (see captiond --help)");
  refused({"transkribe", "a.wav"},
          "there is no command \"transkribe\"; did you mean \"transcribe\"? (see captiond --help)");
  refused({"serve"}, "CONFIG is required (see captiond serve --help)");
  refused({"transcribe"}, "FILES is required (see captiond transcribe --help)");
  refused({"transcribe", "--frmat", "text", "a.wav"},
          "The following argument was not expected: --frmat (see captiond transcribe --help)");
  refused({"transcribe", "--threads", "many", "a.wav"},
          "Could not convert: --threads = many (see captiond transcribe --help)");
  refused({"transcribe", "--format", "doc", "a.wav"},
          "--format: expected one of text, json, vtt, srt, found \"doc\" (see captiond transcribe "
          "--help)");
}

BOOST_AUTO_TEST_CASE(every_command_explains_itself) {
  for (const std::vector<std::string>& asked : {std::vector<std::string>{program(), "--help"},
                                                {program(), "serve", "--help"},
                                                {program(), "transcribe", "--help"},
                                                {program(), "check", "--help"}}) {
    const Outcome outcome = run(asked);
    BOOST_TEST(outcome.code == 0);
    BOOST_TEST(outcome.err == "");
    BOOST_TEST(outcome.out.find("EXIT CODES") != std::string::npos);
  }
  const Outcome version = run({program(), "--version"});
  BOOST_TEST(version.code == 0);
  BOOST_TEST(version.out.starts_with("captiond "));
}

BOOST_FIXTURE_TEST_CASE(an_interrupted_file_is_captioned_as_far_as_it_was_heard, Fixture) {
  // So much that the signal comes long before the end.
  folder.write("long.wav", tone_wav(600));
  ChildProcess process({program(), "transcribe", "--model", model, "--partials", kSpeech, kSpeech,
                        kSpeech, kSpeech, path("long.wav")});
  BOOST_TEST(process.wait_for_out("hello world\n"));
  process.signal(SIGINT);
  BOOST_TEST(process.wait() == 1);
  BOOST_TEST(process.err().find("interrupted") != std::string::npos, process.err());
}
