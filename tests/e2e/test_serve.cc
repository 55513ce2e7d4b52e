#define BOOST_TEST_MODULE serve
// `captiond serve` as a process, with a scripted engine that hears "hello world" in everything, and
// a subscriber that misses nothing.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "pipeline/proto_time.h"
#include "tests/e2e/child_process.h"
#include "tests/e2e/daemon_bench.h"
#include "tests/e2e/event_checks.h"
#include "tests/e2e/media_files.h"
#include "tests/e2e/tone_server.h"

namespace v1 = captiond::v1;
using captiond::from_duration;
using captiond::test::check_numbering;
using captiond::test::check_transcripts;
using captiond::test::DaemonBench;
using captiond::test::Events;
using captiond::test::final_texts;
using captiond::test::is_state;
using captiond::test::of_stream;
using captiond::test::tone_wav;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// A tone is no speech to a detector, so detection is off.
constexpr const char* kHearEverything = "captions: {voice_activity: none}";

std::string stream(const std::string& id, const std::string& uri, const std::string& more = "") {
  return "  - id: " + id + "\n    uri: " + uri + "\n    " + kHearEverything + "\n" +
         (more.empty() ? "" : "    " + more + "\n");
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_file_is_captioned_to_its_end_and_the_daemon_ends) {
  DaemonBench bench("exit_when_done: true\nstreams:\n" + stream("tone", "tone.wav", "pace: fast"),
                    {{"tone.wav", tone_wav(4)}});
  const Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  check_numbering(events);
  check_transcripts(events);
  BOOST_TEST(is_state(events.at(0), v1::StreamState::STARTING));
  BOOST_TEST(is_state(events.at(1), v1::StreamState::RUNNING));
  BOOST_TEST((final_texts(events) == std::vector<std::string>{"hello world"}));
  const v1::Transcript& final_one = events.at(events.size() - 2).transcript();
  BOOST_TEST(final_one.final());
  BOOST_TEST((from_duration(final_one.start()) == seconds(0)));
  // webrtcdsp is off, so not a sample is missing.
  BOOST_TEST((from_duration(final_one.end()) == seconds(4)));
  BOOST_TEST(!final_one.has_started_at());
  BOOST_TEST(std::count_if(events.begin(), events.end(), [](const v1::Event& e) {
               return e.has_transcript() && !e.transcript().final();
             }) > 0);
}

BOOST_AUTO_TEST_CASE(streams_run_together_and_one_that_fails_leaves_the_others_alone) {
  DaemonBench bench("exit_when_done: true\nstreams:\n" + stream("a", "tone.wav", "pace: fast") +
                        stream("text", "text.wav") + stream("b", "tone.wav", "pace: fast") +
                        stream("absent", "absent.wav"),
                    {{"tone.wav", tone_wav(3)},
                     {"text.wav", "this is text and no sound, whatever its name says\n"}});
  int ended = 0;
  const Events events = bench.until([&](const v1::Event& e) {
    ended += is_state(e, v1::StreamState::FINISHED) || is_state(e, v1::StreamState::FAILED);
    return ended == 4;
  });
  BOOST_TEST(bench.daemon().wait() == 1, bench.daemon().err());
  for (const char* id : {"a", "b"}) {
    const Events own = of_stream(events, id);
    check_numbering(own);
    check_transcripts(own);
    BOOST_TEST((final_texts(own) == std::vector<std::string>{"hello world"}));
    BOOST_TEST(is_state(own.back(), v1::StreamState::FINISHED));
  }
  const auto reason = [&](const char* id) {
    const Events own = of_stream(events, id);
    check_numbering(own);
    BOOST_TEST(is_state(own.back(), v1::StreamState::FAILED));
    return own.back().stream_state().reason();
  };
  const std::string folder = bench.folder().path().native();
  BOOST_TEST(reason("text") ==
             folder + "/text.wav cannot be played: Could not determine type of stream");
  BOOST_TEST(reason("absent") ==
             folder + "/absent.wav cannot be opened: No such file or directory");
  BOOST_TEST(bench.daemon().err().find("error text: failed: " + folder + "/text.wav") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(sigterm_finishes_what_is_being_spoken_and_publishes_it) {
  DaemonBench bench("streams:\n" + stream("tone", "tone.wav"), {{"tone.wav", tone_wav(60)}});
  Events events = bench.until([](const v1::Event& e) { return e.has_transcript(); });
  BOOST_TEST(!events.back().transcript().final());
  const auto begin = std::chrono::steady_clock::now();
  bench.daemon().signal(SIGTERM);
  const Events rest =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::STOPPED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  BOOST_TEST((std::chrono::steady_clock::now() - begin < seconds(5)));
  events.insert(events.end(), rest.begin(), rest.end());
  check_numbering(events);
  check_transcripts(events);
  BOOST_TEST((final_texts(events) == std::vector<std::string>{"hello world"}));
}

BOOST_AUTO_TEST_CASE(a_file_at_real_time_says_when_each_word_was_heard) {
  DaemonBench bench("exit_when_done: true\nstreams:\n" + stream("tone", "tone.wav"),
                    {{"tone.wav", tone_wav(2)}});
  const auto begin = std::chrono::steady_clock::now();
  const Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  // The clock starts with the pipeline, a moment before the first event is here.
  BOOST_TEST((std::chrono::steady_clock::now() - begin > milliseconds(1500)));
  const auto spoken = std::find_if(events.begin(), events.end(),
                                   [](const v1::Event& e) { return e.transcript().final(); });
  BOOST_REQUIRE((spoken != events.end()));
  BOOST_REQUIRE(spoken->transcript().has_started_at());
  const auto nanoseconds = [](const google::protobuf::Timestamp& time) {
    return seconds(time.seconds()) + std::chrono::nanoseconds(time.nanos());
  };
  const auto heard = nanoseconds(spoken->transcript().started_at());
  const auto published = nanoseconds(spoken->published_at());
  BOOST_TEST((published - heard > milliseconds(1500)));
  BOOST_TEST((published - heard < seconds(20)));
}

BOOST_AUTO_TEST_CASE(a_live_source_that_vanishes_comes_back_by_itself) {
  captiond::test::ToneServer server;
  DaemonBench bench("streams:\n" + stream("radio", server.uri(),
                                          "source: live\n    restart: {delay_min: 10ms, "
                                          "delay_max: 50ms}"),
                    {});
  const Events first = bench.until([](const v1::Event& e) { return e.has_transcript(); });
  server.drop();
  Events rest =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::RETRYING); });
  Events run = first;
  run.insert(run.end(), rest.begin(), rest.end());
  check_numbering(run);
  check_transcripts(run);
  BOOST_TEST((final_texts(run) == std::vector<std::string>{"hello world"}));
  BOOST_TEST(run.back().stream_state().reason() == "the source has ended");
  BOOST_TEST((from_duration(run.back().stream_state().retry_in()) > seconds(0)));

  const Events second = bench.until([](const v1::Event& e) { return e.has_transcript(); });
  check_numbering(second);
  BOOST_TEST(is_state(second.front(), v1::StreamState::STARTING));
  BOOST_TEST(second.front().epoch() > first.front().epoch());
  bench.daemon().signal(SIGINT);
  bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::STOPPED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}

BOOST_AUTO_TEST_CASE(a_live_source_that_falls_silent_is_started_again) {
  captiond::test::ToneServer server;
  DaemonBench bench(
      "streams:\n" + stream("radio", server.uri(),
                            "source: live\n    restart: {stall_timeout: 500ms, attempts_max: 2, "
                            "delay_min: 10ms, reset_after: 1h}"),
      {});
  Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::RETRYING); });
  BOOST_TEST(events.back().stream_state().reason() ==
             server.uri() + " has delivered nothing for 0.5 s");
  BOOST_TEST((final_texts(events) == std::vector<std::string>{"hello world"}));
  server.drop();
  events = bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FAILED); });
  check_numbering(events);
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}

BOOST_AUTO_TEST_CASE(credentials_are_in_no_event_and_no_log) {
  setenv("CAPTIOND_TEST_PASSWORD", "hunter 2", 1);
  DaemonBench bench(
      "log: {level: debug}\nstreams:\n" +
          stream("camera", "rtsp://bob:${env:CAPTIOND_TEST_PASSWORD}@127.0.0.1:1/x?token=abc123",
                 "restart: {delay_min: 10ms, attempts_max: 2}"),
      {});
  const Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FAILED); });
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  std::string everything = bench.daemon().err();
  for (const v1::Event& event : events) everything += event.DebugString();
  BOOST_TEST(everything.find("rtsp://***@127.0.0.1:1/x?token=***") != std::string::npos);
  for (const char* secret : {"hunter", "abc123", "bob"}) {
    BOOST_TEST(everything.find(secret) == std::string::npos, secret);
  }
}

BOOST_AUTO_TEST_CASE(a_translation_follows_its_transcript) {
  DaemonBench bench(
      "exit_when_done: true\nstreams:\n  - id: tone\n    uri: tone.wav\n    pace: fast\n"
      "    captions: {voice_activity: none, translations: [de, French]}\n",
      {{"tone.wav", tone_wav(2)}});
  const Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  check_numbering(events);
  const auto spoken = std::find_if(events.begin(), events.end(),
                                   [](const v1::Event& e) { return e.transcript().final(); });
  BOOST_REQUIRE((events.end() - spoken == 4));
  BOOST_TEST(spoken[1].translation().language() == "de");
  BOOST_TEST(spoken[2].translation().language() == "fr");
  for (const v1::Event& each : {spoken[1], spoken[2]}) {
    const v1::Translation& translation = each.translation();
    BOOST_TEST(translation.source_language() == "en");
    BOOST_TEST(translation.segment() == spoken->transcript().segment());
    BOOST_TEST((from_duration(translation.end()) == seconds(2)));
  }
}

BOOST_AUTO_TEST_CASE(a_film_is_seen_and_heard_where_that_is_asked_for) {
  const captiond::test::TemporaryFolder films;
  captiond::test::write_film(films.path() / "film.webm", true);
  captiond::test::write_film(films.path() / "mute.webm", false);
  const auto tone = films.write("tone.wav", tone_wav(2));
  const auto film = [&](const std::string& id, const std::string& name, const std::string& more) {
    return "  - {id: " + id + ", pace: fast, uri: '" + (films.path() / name).native() + "', " +
           more + "}\n";
  };
  const std::string scenes = "scenes: {enabled: true, interval: 200ms}";
  const std::string video =
      "scenes: {enabled: true, interval: 200ms, frames: 3, "
      "frame_distance: 200ms}";
  const std::string captions = "captions: {voice_activity: none}";
  DaemonBench bench("exit_when_done: true\nstreams:\n" +
                        film("both", "film.webm", scenes + ", " + captions) +
                        film("seen", "mute.webm", video + ", captions: {enabled: false}") +
                        film("unheard", "mute.webm", captions) + film("unseen", "tone.wav", scenes),
                    {});
  int ended = 0;
  const Events events = bench.until([&](const v1::Event& e) {
    ended += is_state(e, v1::StreamState::FINISHED) || is_state(e, v1::StreamState::FAILED);
    return ended == 4;
  });
  BOOST_TEST(bench.daemon().wait() == 1, bench.daemon().err());
  for (const char* id : {"both", "seen"}) {
    const Events own = of_stream(events, id);
    check_numbering(own);
    BOOST_TEST(is_state(own.back(), v1::StreamState::FINISHED), own.back().DebugString());
    std::uint64_t pictures = 0;
    for (const v1::Event& event : own) {
      if (!event.has_scene()) continue;
      BOOST_TEST(event.scene().scene() == pictures++);
      BOOST_TEST(event.scene().text() == "hello world");
      BOOST_TEST((from_duration(event.scene().at()) < seconds(1)));
    }
    // One second of film, a picture every 200 ms.
    BOOST_TEST(pictures >= 4u);
    BOOST_TEST(pictures <= 6u);
  }
  BOOST_TEST((final_texts(of_stream(events, "both")) == std::vector<std::string>{"hello world"}));
  BOOST_TEST(of_stream(events, "unheard").back().stream_state().reason() ==
             (films.path() / "mute.webm").native() + " has no audio track that can be decoded");
  BOOST_TEST(of_stream(events, "unseen").back().stream_state().reason() ==
             tone.native() + " has no video track to describe");
}

BOOST_AUTO_TEST_CASE(a_file_in_a_loop_begins_a_new_epoch_each_time) {
  DaemonBench bench("streams:\n" + stream("tone", "tone.wav", "pace: fast\n    loop: true"),
                    {{"tone.wav", tone_wav(1)}});
  const auto finished = [](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); };
  const Events first = bench.until(finished), second = bench.until(finished);
  check_numbering(first);
  check_numbering(second);
  BOOST_TEST(second.front().epoch() > first.front().epoch());
  BOOST_TEST((final_texts(first) == final_texts(second)));
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}

BOOST_AUTO_TEST_CASE(heartbeats_go_on_after_the_streams_have_ended) {
  DaemonBench bench("streams:\n" + stream("tone", "tone.wav", "pace: fast"),
                    {{"tone.wav", tone_wav(1)}});
  const Events events =
      bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); });
  v1::Event beat = bench.heartbeat();
  BOOST_TEST(beat.heartbeat().last_sequence() == events.back().sequence());
  BOOST_TEST(beat.sequence() == events.back().sequence());
  BOOST_TEST(beat.epoch() == events.back().epoch());
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}

BOOST_AUTO_TEST_CASE(the_log_can_be_json) {
  DaemonBench bench("log: {format: json}\nexit_when_done: true\nstreams:\n" +
                        stream("tone", "tone.wav", "pace: fast"),
                    {{"tone.wav", tone_wav(1)}});
  bench.until([](const v1::Event& e) { return is_state(e, v1::StreamState::FINISHED); });
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
  std::istringstream lines(bench.daemon().err());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = nlohmann::json::parse(line);
    BOOST_TEST(json.contains("time"));
    BOOST_TEST(json.contains("message"));
    BOOST_TEST(json.at("level") == "info");
  }
  BOOST_TEST(count >= 4);
}

BOOST_AUTO_TEST_CASE(a_taken_port_ends_the_start_with_code_2) {
  DaemonBench bench("streams:\n" + stream("tone", "tone.wav"), {});
  const auto config = bench.folder().write(
      "second.yaml", "publisher: {endpoint: '" + bench.endpoint() + "'}\nengine: {model: model}\n" +
                         "streams:\n" + stream("tone", "tone.wav"));
  const auto outcome = captiond::test::run({captiond::test::program(), "serve", config.native()});
  BOOST_TEST(outcome.code == 2);
  BOOST_TEST(outcome.err == "captiond: cannot publish on " + bench.endpoint() +
                                ": Address already in use; choose another publisher.endpoint or "
                                "stop what uses it\n");
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}

BOOST_AUTO_TEST_CASE(captionctl_shows_finals_and_counts_what_it_has_got) {
  DaemonBench bench("streams:\n" + stream("tone", "tone.wav", "pace: fast\n    loop: true"),
                    {{"tone.wav", tone_wav(1)}});
  const std::string captionctl = std::getenv("CAPTIOND_CAPTIONCTL");
  captiond::test::ChildProcess lines({captionctl, "listen", "--connect", bench.endpoint()});
  captiond::test::ChildProcess json(
      {captionctl, "listen", "--json", "--stream", "tone", "--connect", bench.endpoint()});
  BOOST_TEST(lines.wait_for_out("tone 00:00:00.000 en  hello world\n"));
  BOOST_TEST(json.wait_for_out("\"text\":\"hello world\""));
  for (auto* process : {&lines, &json}) {
    process->signal(SIGTERM);
    BOOST_TEST(process->wait() == 0);
    BOOST_TEST(process->err().find(" events, 0 lost\n") != std::string::npos, process->err());
  }
  bench.daemon().signal(SIGTERM);
  BOOST_TEST(bench.daemon().wait() == 0, bench.daemon().err());
}
