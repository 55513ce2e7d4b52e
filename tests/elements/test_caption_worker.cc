#define BOOST_TEST_MODULE caption_worker
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/caption_worker.h"
#include "elements/speech_captioner.h"
#include "tests/support/captioner_bench.h"
#include "tests/support/scripted_engine.h"

using namespace captiond;
using Answers = ScriptedEngine::Answers;
using Worker = CaptionWorker<SpeechCaptioner>;

namespace {

std::string counted(const ScriptedQuestion& question) {
  std::string text = "heard";
  for (std::size_t i = 0; i < question.patches / 10; ++i) text += " more";
  return text;
}

// A worker over an engine with a thread of its own, as in real life.
class Fixture {
 public:
  explicit Fixture(Script script = counted, Answers answers = Answers::kOnAThread)
      : engine(ScriptedEngine::make("heard more", std::move(script), answers)) {
    const auto make = [this](Worker::Post post) {
      return std::make_unique<SpeechCaptioner>(engine, SpeechOptions{},
                                               CaptionPorts{std::move(post),
                                                            [this](CaptionEvent event) {
                                                              std::lock_guard lock(mutex);
                                                              events.push_back(std::move(event));
                                                            }},
                                               counters);
    };
    worker = std::make_unique<Worker>(
        8, make, [this](std::exception_ptr error) { failed.set_value(std::move(error)); });
  }

  // Speech of `speech` patches and a pause, again and again.
  Worker::Pushed say(std::size_t speech, int times) {
    for (int i = 0; i < times; ++i) {
      for (std::size_t patch = 0; patch < speech + 20; ++patch) {
        const auto pushed = worker->push(test_patch(number++, patch < speech));
        if (pushed != Worker::Pushed::kTaken) return pushed;
      }
    }
    return Worker::Pushed::kTaken;
  }
  void finish() {
    std::promise<void> done;
    BOOST_REQUIRE(worker->finish_then([&] { done.set_value(); }));
    done.get_future().wait();
  }
  std::vector<CaptionEvent> told() {
    std::lock_guard lock(mutex);
    return events;
  }

  std::shared_ptr<ScriptedEngine> engine;
  CaptionCounters counters;
  std::mutex mutex;  // guards events
  std::vector<CaptionEvent> events;
  std::promise<std::exception_ptr> failed;
  std::unique_ptr<Worker> worker;
  std::size_t number = 0;
};

std::size_t finals(const std::vector<CaptionEvent>& events) {
  std::size_t count = 0;
  for (const CaptionEvent& event : events) {
    const auto* transcript = std::get_if<TranscriptEvent>(&event);
    count += transcript != nullptr && transcript->final ? 1 : 0;
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(two_runs_over_threads_tell_the_same) {
  std::vector<CaptionEvent> first;
  for (int run = 0; run < 5; ++run) {
    Fixture fixture;
    BOOST_CHECK(fixture.say(60, 4) == Worker::Pushed::kTaken);
    fixture.finish();
    BOOST_TEST(finals(fixture.told()) == 4u);
    BOOST_TEST(fixture.counters.partials_skipped == 0u);
    if (run == 0) first = fixture.told();
    BOOST_CHECK(fixture.told() == first);
  }
}

BOOST_AUTO_TEST_CASE(finishing_tells_the_open_segment_before_it_goes_on) {
  Fixture fixture;
  fixture.say(60, 1);
  for (std::size_t i = 0; i < 30; ++i) fixture.worker->push(test_patch(fixture.number++, true));
  std::promise<std::size_t> told;
  BOOST_REQUIRE(fixture.worker->finish_then([&] { told.set_value(finals(fixture.told())); }));
  BOOST_TEST(told.get_future().get() == 2u);
}

BOOST_AUTO_TEST_CASE(after_a_flush_nothing_of_before_is_told) {
  Fixture fixture(counted, Answers::kWhenTold);
  for (std::size_t i = 0; i < 13; ++i) fixture.worker->push(test_patch(i, true));
  fixture.worker->flush();
  BOOST_CHECK(fixture.worker->push(test_patch(0, true)) == Worker::Pushed::kFlushing);
  while (fixture.engine->answer_next()) {
  }
  fixture.worker->stop_flush();
  fixture.finish();
  BOOST_TEST(fixture.told().empty());
}

BOOST_AUTO_TEST_CASE(an_error_is_told_once_and_ends_the_worker) {
  Fixture fixture([](const ScriptedQuestion&) -> std::string {
    throw std::runtime_error("the engine is broken");
  });
  auto failed = fixture.failed.get_future();
  while (fixture.say(60, 1) == Worker::Pushed::kTaken) {
  }
  BOOST_CHECK_THROW(std::rethrow_exception(failed.get()), std::runtime_error);
  BOOST_CHECK(fixture.worker->push(test_patch(0, true)) == Worker::Pushed::kClosed);
  BOOST_TEST(!fixture.worker->finish_then([] { BOOST_ERROR("never"); }));
  fixture.worker->flush();  // does not wait for a thread that has ended
  fixture.worker->stop_flush();
}

BOOST_AUTO_TEST_CASE(it_can_be_stopped_while_it_waits_for_an_answer) {
  Fixture fixture(counted, Answers::kWhenTold);
  for (std::size_t i = 0; i < 13; ++i) fixture.worker->push(test_patch(i, true));
  fixture.worker->stop();
  fixture.worker.reset();
  BOOST_TEST(fixture.engine->contexts_alive() == 0u);
  while (fixture.engine->answer_next()) {  // to nobody
  }
}

BOOST_AUTO_TEST_CASE(a_live_source_is_never_made_to_wait) {
  Fixture fixture(counted, Answers::kWhenTold);
  fixture.worker->set_live(true);
  BOOST_CHECK(fixture.say(10, 40) == Worker::Pushed::kTaken);  // no answer ever comes
  BOOST_TEST(fixture.engine->open_questions() <= 5u);          // four finals and a partial
}
