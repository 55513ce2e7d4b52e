#define BOOST_TEST_MODULE sample
// The real program with the shipped checkpoint and the shipped recording: real words.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/e2e/child_process.h"
#include "tests/e2e/daemon_bench.h"
#include "tests/e2e/event_checks.h"

namespace v1 = captiond::v1;
using captiond::test::DaemonBench;
using captiond::test::Events;
using captiond::test::is_state;
using captiond::test::of_stream;

namespace {

const std::string kRecording = std::filesystem::absolute("assets/samples/meeting.flac").native();

// Lower case, without punctuation.
std::vector<std::string> words_of(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::ispunct(byte) && c != '\'') continue;
    plain += static_cast<char>(std::tolower(byte));
  }
  std::istringstream stream(plain);
  return {std::istream_iterator<std::string>(stream), {}};
}

// Insertions, deletions and replacements that make `heard` of `said`.
std::size_t word_errors(const std::vector<std::string>& said,
                        const std::vector<std::string>& heard) {
  std::vector<std::size_t> row(heard.size() + 1);
  for (std::size_t j = 0; j <= heard.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= said.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= heard.size(); ++j) {
      const std::size_t replaced = diagonal + (said[i - 1] == heard[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  BOOST_TEST_REQUIRE(file.is_open(), path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + " ";
  return all;
}

// Everything about a transcript that does not depend on when it was made.
std::vector<std::string> timeless(const Events& events) {
  std::vector<std::string> lines;
  for (const v1::Event& event : events) {
    if (!event.has_transcript()) continue;
    v1::Transcript transcript = event.transcript();
    transcript.clear_started_at();
    lines.push_back(transcript.ShortDebugString());
  }
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_subscriber_reads_the_words_that_were_said_at_any_speed_the_same) {
  DaemonBench bench("exit_when_done: true\nstreams:\n  - {id: fast, pace: fast, uri: '" +
                        kRecording + "'}\n  - {id: clock, pace: realtime, uri: '" + kRecording +
                        "'}\n",
                    {});
  int finished = 0;
  const Events events = bench.until([&](const v1::Event& event) {
    finished += is_state(event, v1::StreamState::FINISHED);
    return finished == 2;
  });
  BOOST_TEST(bench.daemon().wait() == 0);
  const Events fast = of_stream(events, "fast"), clock = of_stream(events, "clock");
  for (const Events& each : {fast, clock}) {
    captiond::test::check_numbering(each);
    captiond::test::check_transcripts(each);
  }
  BOOST_TEST(timeless(fast) == timeless(clock), boost::test_tools::per_element());

  const auto said = words_of(content("assets/samples/meeting.txt"));
  const auto heard = words_of(joined(captiond::test::final_texts(fast)));
  BOOST_TEST(said.size() > 40u);
  // The goal of the checkpoint on speech that it has never heard is 25 % and less.
  BOOST_TEST(word_errors(said, heard) * 4 <= said.size(), joined(heard));
}

BOOST_AUTO_TEST_CASE(without_a_model_named_the_shipped_one_is_taken) {
  const auto outcome = captiond::test::run({captiond::test::program(), "transcribe", kRecording});
  BOOST_TEST(outcome.code == 0, outcome.err);
  BOOST_TEST(words_of(outcome.out).size() > 40u);
}

BOOST_AUTO_TEST_CASE(the_film_is_captioned_as_the_demo_shows_it) {
  const auto outcome =
      captiond::test::run({captiond::test::program(), "transcribe", "--translate", "German",
                           "--scenes", "5", "--partials", "assets/samples/radio.webm"});
  BOOST_TEST(outcome.code == 0, outcome.err);
  // Kind ("en", "de", "scene") → texts, in order.
  std::map<std::string, std::vector<std::string>> told;
  std::string last_time;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("~ ")) continue;
    std::istringstream fields(line);
    std::string time, kind, text;
    fields >> time >> kind >> std::ws;
    std::getline(fields, text);
    told[kind].push_back(text);
    if (kind == "de") continue;
    BOOST_TEST(last_time <= time, line);
    last_time = time;
  }
  const auto said = words_of(content("assets/samples/radio.txt"));
  const auto heard = joined(told["en"]);
  BOOST_TEST(said.size() > 100u);
  BOOST_TEST(word_errors(said, words_of(heard)) * 4 <= said.size(), heard);

  const auto german = words_of(content("assets/samples/radio.de.txt"));
  const auto translated = joined(told["de"]);
  BOOST_TEST(told["de"].size() == told["en"].size());
  BOOST_TEST(word_errors(german, words_of(translated)) * 3 <= german.size(), translated);

  std::vector<std::string> there;
  std::istringstream scenes(content("assets/samples/radio.scenes.txt"));
  for (std::string line; std::getline(scenes, line);)
    there.push_back(line.substr(line.find('\t') + 1));
  BOOST_TEST_REQUIRE(told["scene"].size() == there.size());
  std::size_t right = 0;
  for (std::size_t i = 0; i < there.size(); ++i) right += told["scene"][i] == there[i] ? 1 : 0;
  BOOST_TEST(right * 3 >= there.size() * 2, joined(told["scene"]));
}
