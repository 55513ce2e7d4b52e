#define BOOST_TEST_MODULE config_file
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <google/protobuf/util/message_differencer.h>

#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/config_file.h"
#include "pipeline/proto_time.h"
#include "tests/support/temporary_folder.h"

using captiond::ConfigError;
using captiond::load_config;
using captiond::parse_config;
namespace v1 = captiond::v1;

namespace {

constexpr const char* kMinimal = "streams:\n  - {id: a, uri: 'rtsp://host/path'}\n";

// What parse_config() says about `text`, without the file's name.
std::string refusal(const std::string& text) {
  try {
    parse_config(text, "f.yaml");
  } catch (const ConfigError& error) {
    const std::string sentence = error.what();
    BOOST_TEST(sentence.starts_with("f.yaml:"));
    return sentence.substr(7);
  }
  return "accepted";
}

// One stream `a` with `lines` added to it, each indented by four.
std::string stream_with(const std::string& lines) {
  return "streams:\n  - id: a\n    uri: rtsp://host/path\n" + lines;
}

struct Refused {
  const char* name;
  std::string text;
  std::string sentence;
};

std::ostream& operator<<(std::ostream& out, const Refused& refused) { return out << refused.name; }

const std::vector<Refused> kRefused = {
    {"empty", "", " the file is empty"},
    {"comment alone", "# nothing\n", " the file is empty"},
    {"scalar", "hello", "1:1: the file must be a mapping of keys to values, found \"hello\""},
    {"list", "[1, 2]", "1:1: the file must be a mapping of keys to values, found a list"},
    {"two documents", std::string(kMinimal) + "---\na: 1\n",
     "4:1: a second YAML document begins, expected only one"},
    {"no YAML", "streams: [", "1:1: this is no YAML: end of sequence flow not found"},
    {"tab", "engine:\n\tmodel: x\n", "2:7: this is no YAML: illegal map value"},
    {"unknown key", "streans: []\n", "1:1: unknown key \"streans\"; did you mean \"streams\"?"},
    {"unknown nested key", stream_with("    captions:\n      langauge: de\n"),
     "5:7: unknown key \"langauge\" in streams[0].captions; did you mean \"language\"?"},
    {"unknown key unlike any", stream_with("    log: {verbosity: 3}\n"),
     "4:5: unknown key \"log\" in streams[0]; known are id, uri, source, pace, loop, captions, "
     "scenes, queues, restart"},
    {"key that is a list", "? [1]\n: 2\n", "1:3: a key must be a word, found a list or a mapping"},
    {"repeated key", "engine: {threads: 1, threads: 2}\n",
     "1:22: key \"threads\" in engine is given twice"},
    {"repeated top key", std::string(kMinimal) + "streams: []\n",
     "3:1: key \"streams\" is given twice"},
    {"merge key", stream_with("    <<: {loop: true}\n"),
     "4:5: unknown key \"<<\" in streams[0]; known are id, uri, source, pace, loop, captions, "
     "scenes, queues, restart"},
    {"mapping for a value", "engine: {model: {a: 1}}\n",
     "1:17: engine.model: expected one value, found a mapping"},
    {"nothing for a value", "engine: {model: }\n",
     "1:17: engine.model: expected one value, found nothing"},
    {"value for a mapping", "engine: cpu\n",
     "1:9: engine must be a mapping of keys to values, found \"cpu\""},
    {"value for a list", "streams: a\n", "1:10: streams must be a list ('- …'), found \"a\""},
    {"list in a list of words", stream_with("    captions: {translations: [[de]]}\n"),
     "4:31: streams[0].captions.translations[0]: expected one value, found a list"},
    {"bool", "exit_when_done: yes\n",
     "1:17: exit_when_done: expected true or false, found \"yes\""},
    {"integer", "engine: {threads: two}\n",
     "1:19: engine.threads: expected a whole number, found \"two\""},
    {"fraction for an integer", "engine: {threads: 1.5}\n",
     "1:19: engine.threads: expected a whole number, found \"1.5\""},
    {"negative integer", "engine: {threads: -1}\n",
     "1:19: engine.threads: expected a whole number, found \"-1\""},
    {"integer beyond its type", "engine: {threads: 99999999999}\n",
     "1:19: engine.threads: expected a whole number up to 4294967295, found \"99999999999\""},
    {"integer out of range", std::string(kMinimal) + "engine: {threads: 1025}\n",
     "3:19: engine.threads is 1025, allowed is at most 1024"},
    {"duration", "stop_timeout: 4\n",
     "1:15: stop_timeout: expected a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h, "
     "found \"4\""},
    {"negative duration", "stop_timeout: -4s\n",
     "1:15: stop_timeout: expected a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h, "
     "found \"-4s\""},
    {"endless duration", "stop_timeout: infs\n",
     "1:15: stop_timeout: expected a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h, "
     "found \"infs\""},
    {"fraction of a millisecond", "stop_timeout: 0.5ms\n",
     "1:15: stop_timeout: expected a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h, "
     "found \"0.5ms\""},
    {"duration out of range", std::string(kMinimal) + "stop_timeout: 10ms\n",
     "3:15: stop_timeout is 10ms, allowed is 100ms to 1h"},
    {"number", stream_with("    restart: {factor: .nan}\n"),
     "4:23: streams[0].restart.factor: expected a number, found \".nan\""},
    {"number out of range", stream_with("    restart: {factor: 0.5}\n"),
     "4:23: streams[0].restart.factor is 0.5, allowed is 1 to 10"},
    {"enum", "engine: {device: gpu}\n",
     "1:18: engine.device: expected one of cpu, cuda, found \"gpu\""},
    {"enum by its Protobuf name", "engine: {device: DEVICE_CPU}\n",
     "1:18: engine.device: expected one of cpu, cuda, found \"DEVICE_CPU\""},
    {"control characters", "engine: {device: \"a\\e[2J\\nb\"}\n",
     "1:18: engine.device: expected one of cpu, cuda, found \"a\\x1b[2J\\x0ab\""},
    {"no streams", "engine: {threads: 1}\n", "1:1: streams must have an entry"},
    {"empty streams", "streams: []\n", "1:10: streams must have an entry"},
    {"no id", "streams:\n  - uri: a.wav\n", "2:5: streams[0].id must be given"},
    {"no uri", "streams:\n  - id: a\n", "2:5: streams[0].uri must be given"},
    {"id", "streams:\n  - id: Lobby/1\n    uri: a.wav\n",
     "2:9: streams[0].id is \"Lobby/1\", allowed are 1 to 64 of the characters a-z 0-9 - _ ."},
    {"same id", std::string(kMinimal) + "  - {id: a, uri: b.wav}\n",
     "3:10: streams[1].id is \"a\", which another stream has already"},
    {"placeholder", "streams:\n  - {id: a, uri: 'rtsp://${PASSWORD}@host'}\n",
     "2:18: streams[0].uri: \"${PASSWORD}\" is no placeholder: write ${env:NAME} or ${file:PATH}"},
    {"open placeholder", "streams:\n  - {id: a, uri: 'rtsp://${env:A@host'}\n",
     "2:18: streams[0].uri: a placeholder is not closed: '}' is missing after '${'"},
    {"language", stream_with("    captions: {language: Germn}\n"),
     "4:26: streams[0].captions.language is \"Germn\", which is no known language; did you mean "
     "\"German\"?"},
    {"translation into the spoken language",
     stream_with("    captions: {language: de, translations: [en, german]}\n"),
     "4:49: streams[0].captions.translations[1] is \"german\", which is the spoken language or "
     "there "
     "already"},
    {"nothing to do", stream_with("    captions: {enabled: false}\n"),
     "4:25: streams[0].captions.enabled and scenes.enabled are both false: the stream would do "
     "nothing"},
    {"fast and live", stream_with("    pace: fast\n"),
     "4:11: streams[0].pace is fast, but the source is live"},
    {"loop and live", stream_with("    loop: true\n"),
     "4:11: streams[0].loop is true, but the source is live"},
    {"lead-out", stream_with("    captions: {endpoint_silence: 100ms}\n"),
     "4:15: streams[0].captions.lead_out is above captions.endpoint_silence"},
    {"picture budget", stream_with("    scenes: {soft_tokens: 100}\n"),
     "4:27: streams[0].scenes.soft_tokens is 100, allowed are 70, 140, 280, 560 and 1120"},
    {"frames", stream_with("    scenes: {frames: 33}\n"),
     "4:22: streams[0].scenes.frames is 33, allowed is 1 to 32"},
    {"long video", stream_with("    scenes: {frames: 31, frame_distance: 2s}\n"),
     "4:22: streams[0].scenes.frames is 31 and frame_distance 2s, but the model takes videos of "
     "60s at most: make one of them smaller"},
    {"delays", stream_with("    restart: {delay_min: 40s}\n"),
     "4:26: streams[0].restart.delay_min is above restart.delay_max"},
    {"endpoint", std::string(kMinimal) + "publisher: {endpoint: 'tcp://127.0.0.1'}\n",
     "3:23: publisher.endpoint: expected tcp://ADDRESS:PORT (PORT 1 to 65535 or *) or ipc://PATH, "
     "found \"tcp://127.0.0.1\""},
    {"port", std::string(kMinimal) + "publisher: {endpoint: 'tcp://127.0.0.1:70000'}\n",
     "3:23: publisher.endpoint: expected tcp://ADDRESS:PORT (PORT 1 to 65535 or *) or ipc://PATH, "
     "found \"tcp://127.0.0.1:70000\""},
};

}  // namespace

BOOST_DATA_TEST_CASE(what_is_wrong_is_refused_with_its_place, kRefused, refused) {
  BOOST_TEST(refusal(refused.text) == refused.sentence);
}

BOOST_AUTO_TEST_CASE(deep_nesting_is_refused_and_not_followed) {
  BOOST_TEST(refusal(std::string(100'000, '[')).ends_with("it is nested too deeply"));
}

BOOST_AUTO_TEST_CASE(aliases_of_aliases_are_not_multiplied) {
  std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'z'; ++name) {
    text += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 9; ++i) text += std::string(i > 0 ? ", *" : "*") + char(name - 1);
    text += "]\n";
  }
  BOOST_TEST(refusal(text).starts_with("1:1: unknown key \"a\""));
}

BOOST_AUTO_TEST_CASE(what_is_left_out_has_its_default) {
  const v1::Config config = parse_config(kMinimal, "f.yaml");
  BOOST_TEST(config.engine().kv_positions() == 65536u);
  BOOST_TEST(config.engine().vision_mask() == v1::VISION_MASK_FULL_BIDIRECTIONAL);
  BOOST_TEST(config.publisher().endpoint() == "tcp://127.0.0.1:5580");
  BOOST_TEST(captiond::from_duration(config.stop_timeout()).count() == 4'000'000'000);
  BOOST_TEST(config.streams(0).captions().enabled());
  BOOST_TEST(config.streams(0).restart().factor() == 2.0);
}

BOOST_AUTO_TEST_CASE(what_is_given_is_kept_even_where_it_is_zero) {
  const v1::Config config = parse_config(
      stream_with(
          "    captions: {enabled: false, partial_interval: 0}\n    scenes: {enabled: true, "
          "interval: 1.5s, frames: 4, frame_distance: 15s}\n"),
      "f.yaml");
  BOOST_TEST(!config.streams(0).captions().enabled());
  BOOST_TEST(captiond::from_duration(config.streams(0).captions().partial_interval()).count() == 0);
  BOOST_TEST(captiond::from_duration(config.streams(0).scenes().interval()).count() ==
             1'500'000'000);
  BOOST_TEST(config.streams(0).scenes().frames() == 4u);
  BOOST_TEST(config.streams(0).scenes().frame_distance().seconds() == 15);
}

BOOST_AUTO_TEST_CASE(paths_are_relative_to_the_file) {
  const v1::Config config = parse_config(
      "engine: {model: ../models/m}\nstreams:\n  - {id: a, uri: 'a b#1.wav'}\n"
      "  - {id: b, uri: 'file:///x.wav'}\n",
      "/etc/captiond/f.yaml");
  BOOST_TEST(config.engine().model() == "/etc/models/m");
  BOOST_TEST(config.streams(0).uri() == "file:///etc/captiond/a%20b%231.wav");
  BOOST_TEST(config.streams(1).uri() == "file:///x.wav");
}

BOOST_AUTO_TEST_CASE(a_source_is_live_by_its_scheme_unless_said) {
  const auto live = [](const std::string& uri, v1::SourceKind kind) {
    v1::StreamConfig stream;
    stream.set_uri(uri);
    stream.set_source(kind);
    return captiond::is_live(stream);
  };
  BOOST_TEST(live("rtsp://host", v1::SOURCE_KIND_AUTO));
  BOOST_TEST(live("srt://host:1", v1::SOURCE_KIND_AUTO));
  BOOST_TEST(!live("file:///a.wav", v1::SOURCE_KIND_AUTO));
  BOOST_TEST(!live("https://host/a.mp3", v1::SOURCE_KIND_AUTO));
  BOOST_TEST(live("https://host/a.m3u8", v1::SOURCE_KIND_LIVE));
  BOOST_TEST(!live("rtsp://host", v1::SOURCE_KIND_FILE));
}

BOOST_AUTO_TEST_CASE(a_message_with_an_unknown_enum_value_is_refused) {
  v1::Config config = parse_config(kMinimal, "f.yaml");
  config.mutable_engine()->set_device(static_cast<v1::Device>(77));
  const auto problem = captiond::find_problem(config);
  BOOST_REQUIRE(problem.has_value());
  BOOST_TEST(problem->sentence == "engine.device is 77, which is no value of Device");
}

BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_refused_without_waiting_for_it) {
  const captiond::test::TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  BOOST_REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  for (const auto& path : {folder.path(), fifo, std::filesystem::path("/dev/zero")}) {
    BOOST_CHECK_EXCEPTION(load_config(path), ConfigError, [&](const ConfigError& error) {
      return error.what() == path.native() + " is no regular file, expected a YAML file";
    });
  }
  BOOST_CHECK_EXCEPTION(load_config(folder.path() / "absent"), ConfigError,
                        [](const ConfigError& error) {
                          return std::string(error.what())
                              .ends_with("absent cannot be read: No such file or directory");
                        });
}

BOOST_AUTO_TEST_CASE(a_file_that_is_too_long_is_refused) {
  const captiond::test::TemporaryFolder folder;
  const auto path = folder.path() / "long.yaml";
  std::ofstream(path) << std::string(4 * 1024 * 1024 + 1, '#');
  BOOST_CHECK_THROW(load_config(path), ConfigError);
}

BOOST_AUTO_TEST_CASE(the_examples_are_accepted) {
  BOOST_TEST(load_config("configs/meeting.yaml").streams_size() == 1);
  BOOST_TEST(load_config("configs/broadcast.yaml").streams_size() == 3);
}
