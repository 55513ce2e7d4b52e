#define BOOST_TEST_MODULE speech_captioner
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/caption_prompt.h"
#include "elements/speech_captioner.h"
#include "model/speech_prompt.h"
#include "tests/support/captioner_bench.h"
#include "tests/support/scripted_engine.h"

using namespace captiond;
using namespace std::chrono_literals;
using Answers = ScriptedEngine::Answers;

namespace {

constexpr const char* kWords =
    "good morning everyone and welcome to this quiet place now guten Morgen alle miteinander "
    "user model thought English German";

// The first n words of the sentence, n growing by two for each second of audio.
std::string growing(const ScriptedQuestion& question) {
  const std::string sentence = "good morning everyone and welcome to this quiet place now";
  std::size_t words = question.patches / 12;
  std::size_t end = 0;
  while (words-- > 0 && end != std::string::npos) end = sentence.find(' ', end + 1);
  return sentence.substr(0, end);
}

// A captioner, its engine and a stream of patches numbered from 0.
class Scene {
 public:
  Scene(Script script, SpeechOptions options, Answers answers = Answers::kAtOnce)
      : engine(ScriptedEngine::make(kWords, std::move(script), answers)),
        captioner(
            std::make_unique<SpeechCaptioner>(engine, options, bench.ports(), bench.counters)) {}

  // Waits for the captioner like a source that can wait.
  Scene& hear(std::size_t count, bool voice) {
    for (std::size_t i = 0; i < count; ++i) {
      bench.run_posted();
      BOOST_REQUIRE(captioner->accepts());
      captioner->take(test_patch(number++, voice));
    }
    bench.run_posted();
    return *this;
  }
  // Does not wait: answers come when the test calls answer().
  Scene& hear_live(std::size_t count, bool voice) {
    for (std::size_t i = 0; i < count; ++i) captioner->take(test_patch(number++, voice));
    return *this;
  }
  Scene& answer() {
    BOOST_REQUIRE(engine->answer_next());
    bench.run_posted();
    return *this;
  }
  Scene& finish() {
    captioner->finish();
    bench.run_posted();
    return *this;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const CaptionEvent& event : bench.events) {
      if (!std::holds_alternative<SilenceEvent>(event)) out.push_back(to_line(event));
    }
    return out;
  }

  std::shared_ptr<ScriptedEngine> engine;
  CaptionerBench bench;
  std::unique_ptr<SpeechCaptioner> captioner;
  std::size_t number = 0;
};

SpeechOptions options_without_partials() {
  SpeechOptions options;
  options.partial_interval = 0ms;
  return options;
}

void require_lines(const std::vector<std::string>& found, const std::vector<std::string>& wanted) {
  BOOST_TEST(found == wanted, boost::test_tools::per_element());
}

std::string refusal_of(SpeechOptions options) {
  try {
    Scene scene(growing, std::move(options));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_segment_is_asked_about_with_the_published_prompt_and_its_audio) {
  Scene scene(growing, options_without_partials());
  scene.hear(25, false).hear(50, true).hear(25, false);
  const auto questions = scene.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 1u);
  BOOST_TEST(questions[0].patches == 60u);
  BOOST_TEST(questions[0].prompt ==
             "<bos><|turn>user\n" + transcription_prompt("English") +
                 "<|audio><audio|><turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  BOOST_TEST(questions[0].begun == "");
  BOOST_TEST(questions[0].max_tokens == 16u + 24u);  // 2.4 s
  require_lines(scene.lines(), {"0.0 0.800-3.200 final good morning everyone and welcome"});
}

BOOST_AUTO_TEST_CASE(partials_come_every_half_second_of_audio_and_promise_what_stays) {
  Scene scene(growing, {});
  scene.hear(5, false).hear(45, true).hear(25, false);
  // Patches 13, 25, 38, 50 of the segment; the final hears the lead-out too.
  require_lines(scene.lines(), {"0.0 0.000-0.520 |good", "0.1 0.000-1.000 |good morning",
                                "0.2 0.000-1.520 good| morning everyone",
                                "0.3 0.000-2.000 good morning| everyone and",
                                "0.4 0.000-2.200 final good morning everyone and"});
  BOOST_TEST(scene.bench.counters.partials == 4u);
  BOOST_TEST(scene.bench.counters.partials_skipped == 0u);
  BOOST_TEST(scene.bench.counters.segments == 1u);
}

BOOST_AUTO_TEST_CASE(stable_text_begins_the_answer_and_the_rest_is_the_draft) {
  Scene scene(growing, {});
  scene.hear(5, false).hear(45, true).hear(25, false);
  const auto questions = scene.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 5u);
  BOOST_TEST(questions[0].draft == "");
  BOOST_TEST(questions[1].draft == "good");
  BOOST_TEST(questions[1].begun == "");
  BOOST_TEST(questions[3].begun == "good");
  BOOST_TEST(questions[3].draft == " morning everyone");
  BOOST_TEST(questions[4].begun == "good morning");
  BOOST_TEST(questions[4].draft == " everyone and");
  BOOST_TEST(scene.bench.counters.draft_accepted > 0u);
  // Each patch of audio was prefilled once, for five questions.
  BOOST_TEST(scene.engine->audio_rows() == 55u);
}

BOOST_AUTO_TEST_CASE(every_revision_of_a_segment_begins_with_what_was_promised) {
  // A model that changes its mind about everything, all the time.
  const std::vector<std::string> moods = {
      "good morning everyone and welcome", "good morning everyone and now this quiet place",
      "welcome to this quiet place now",   "everyone and everyone",
      "good morning to this quiet place",  "now",
      "good morning everyone and",         ""};
  std::size_t asked = 0;
  Scene scene([&](const ScriptedQuestion&) { return moods[asked++ * 5 % moods.size()]; }, {});
  for (int segment = 0; segment < 6; ++segment) scene.hear(150, true).hear(30, false);
  std::string promised;
  std::size_t finals = 0;
  std::size_t promises = 0;
  for (const TranscriptEvent& event : scene.bench.all<TranscriptEvent>()) {
    if (event.revision == 0) promised.clear();
    BOOST_TEST(event.text.starts_with(promised), event.text << " after " << promised);
    BOOST_TEST(event.stable_length >= promised.size());
    BOOST_REQUIRE(event.stable_length <= event.text.size());
    promised = event.text.substr(0, event.stable_length);
    promises += promised.empty() ? 0 : 1;
    finals += event.final ? 1 : 0;
  }
  BOOST_TEST(finals == 6u);
  BOOST_TEST(promises > 6u);
}

BOOST_AUTO_TEST_CASE(the_same_stream_gives_the_same_events_however_slowly_answers_come) {
  Scene fast(growing, {});
  fast.hear(5, false).hear(45, true).hear(25, false).hear(80, true).finish();

  Scene slow(growing, {}, Answers::kWhenTold);
  for (; slow.number < 155;) {
    const bool voice = (slow.number >= 5 && slow.number < 50) || slow.number >= 75;
    while (!slow.captioner->accepts()) slow.answer();
    slow.captioner->take(test_patch(slow.number, voice));
    ++slow.number;
  }
  while (!slow.captioner->idle()) slow.answer();
  slow.captioner->finish();
  while (!slow.captioner->idle()) slow.answer();
  BOOST_TEST(fast.lines().size() > 8u);
  BOOST_CHECK(fast.bench.events == slow.bench.events);
}

BOOST_AUTO_TEST_CASE(a_source_that_can_wait_is_held_back_while_a_question_is_open) {
  Scene scene(growing, {}, Answers::kWhenTold);
  scene.hear(12, true);
  BOOST_TEST(scene.captioner->accepts());
  scene.hear(1, true);
  BOOST_TEST(!scene.captioner->accepts());
  BOOST_TEST(!scene.captioner->idle());
  scene.answer();
  BOOST_TEST(scene.captioner->accepts());
  BOOST_TEST(scene.captioner->idle());
}

BOOST_AUTO_TEST_CASE(a_live_source_never_waits_for_a_partial_which_is_skipped_and_counted) {
  Scene scene(growing, {}, Answers::kWhenTold);
  scene.captioner->set_live(true);
  scene.hear_live(50, true);
  BOOST_TEST(scene.engine->open_questions() == 1u);
  BOOST_TEST(scene.bench.counters.partials_skipped == 3u);
  scene.answer().hear_live(13, true);
  BOOST_TEST(scene.engine->open_questions() == 1u);
  scene.answer();
  // The second hypothesis has all the audio since.
  require_lines(scene.lines(),
                {"0.0 0.000-0.520 |good", "0.1 0.000-2.520 good| morning everyone and welcome"});
}

BOOST_AUTO_TEST_CASE(a_final_takes_the_place_of_a_partial_in_flight) {
  Scene scene(growing, {}, Answers::kWhenTold);
  scene.captioner->set_live(true);
  scene.hear_live(20, true).hear_live(15, false);
  BOOST_TEST(scene.engine->open_questions() == 2u);
  scene.answer().answer();
  require_lines(scene.lines(), {"0.0 0.000-1.000 final good morning"});
  BOOST_TEST(scene.bench.counters.partials == 0u);
}

BOOST_AUTO_TEST_CASE(a_live_source_is_refused_only_when_four_finals_are_missing) {
  Scene scene(growing, options_without_partials(), Answers::kWhenTold);
  scene.captioner->set_live(true);
  for (int segment = 0; segment < 4; ++segment) {
    BOOST_REQUIRE(scene.captioner->accepts());
    scene.hear_live(10, true).hear_live(15, false);
  }
  BOOST_TEST(!scene.captioner->accepts());
  BOOST_TEST(scene.lines().empty());
  scene.answer();
  BOOST_TEST(scene.captioner->accepts());
  scene.answer().answer().answer();
  std::size_t expected = 0;
  for (const TranscriptEvent& event : scene.bench.all<TranscriptEvent>()) {
    BOOST_TEST(event.segment == expected++);
    BOOST_TEST(event.final);
  }
  BOOST_TEST(expected == 4u);
}

BOOST_AUTO_TEST_CASE(nothing_of_a_segment_is_told_before_the_final_of_the_one_before) {
  Scene scene(growing, {}, Answers::kWhenTold);
  scene.captioner->set_live(true);
  scene.hear_live(5, true).hear_live(15, false);  // final of segment 0 in flight
  scene.hear_live(40, true);
  BOOST_TEST(scene.engine->open_questions() == 1u);  // partials of segment 1 are skipped
  BOOST_TEST(scene.bench.counters.partials_skipped == 3u);
  scene.answer().hear_live(13, true).answer();
  const auto events = scene.bench.all<TranscriptEvent>();
  BOOST_REQUIRE_EQUAL(events.size(), 2u);
  BOOST_TEST(events[0].segment == 0u);
  BOOST_TEST(events[0].final);
  BOOST_TEST(events[1].segment == 1u);
}

BOOST_AUTO_TEST_CASE(a_cut_segment_and_its_successor_share_no_audio) {
  Scene scene(growing, options_without_partials());
  scene.hear(400, true).finish();
  const auto events = scene.bench.all<TranscriptEvent>();
  const auto questions = scene.engine->questions();
  BOOST_REQUIRE_EQUAL(events.size(), 2u);
  BOOST_CHECK(events[0].end == events[1].start);
  BOOST_CHECK(events[1].end == duration_of(400));
  BOOST_TEST(questions[0].patches + questions[1].patches == 400u);
  BOOST_TEST(questions[0].patches < 375u);  // truncated back to the cut
}

BOOST_AUTO_TEST_CASE(what_may_lie_behind_a_cut_is_not_promised) {
  // Audio of the last three seconds is heard, shown, and then left to the next segment.
  Scene scene(
      [](const ScriptedQuestion& question) {
        std::string text;
        for (std::size_t i = 0; i < question.patches / 25; ++i) text += " word" + std::to_string(i);
        return text.empty() ? text : text.substr(1);
      },
      [] {
        SpeechOptions options;
        options.tokens_per_second_max = 100;
        return options;
      }());
  scene.hear(400, true).finish();
  for (const TranscriptEvent& event : scene.bench.all<TranscriptEvent>()) {
    if (event.segment != 0 || event.final) continue;
    BOOST_TEST(event.text.substr(0, event.stable_length).find("word12") == std::string::npos);
  }
  const auto finals = scene.bench.all<TranscriptEvent>();
  const auto first = std::find_if(finals.begin(), finals.end(), [](auto& e) { return e.final; });
  BOOST_TEST((first->end > 12s));
}

BOOST_AUTO_TEST_CASE(a_runaway_repetition_ends_at_the_bound_and_is_marked) {
  Scene scene(
      [](const ScriptedQuestion&) {
        std::string text = "good";
        for (int i = 0; i < 500; ++i) text += " good";
        return text;
      },
      {});
  scene.hear(50, true).hear(15, false);
  const auto events = scene.bench.all<TranscriptEvent>();
  BOOST_REQUIRE(!events.empty());
  for (const TranscriptEvent& event : events) {
    BOOST_TEST(event.truncated);
    // Two runaways agree with each other; still nothing is promised.
    if (!event.final) BOOST_TEST(event.stable_length == 0u);
  }
  // 55 patches, 2.2 s: 16 + 22 tokens, one a word.
  BOOST_TEST(std::count(events.back().text.begin(), events.back().text.end(), ' ') == 37);
  BOOST_TEST(scene.bench.counters.truncated == 1u);
}

BOOST_AUTO_TEST_CASE(blips_and_silence_ask_nothing) {
  Scene scene(growing, {});
  scene.hear(100, false).hear(2, true).hear(100, false);
  BOOST_TEST(scene.engine->questions().empty());
  BOOST_TEST(scene.bench.counters.blips == 1u);
  BOOST_TEST(scene.lines().empty());
}

BOOST_AUTO_TEST_CASE(silence_and_finals_together_cover_the_stream_without_overlap) {
  Scene scene(growing, {});
  scene.hear(60, false).hear(45, true).hear(60, false).hear(20, true).hear(70, false).finish();
  StreamTime told{};
  for (const CaptionEvent& event : scene.bench.events) {
    if (const auto* silence = std::get_if<SilenceEvent>(&event)) {
      BOOST_CHECK(silence->start == told);
      told = silence->end;
    } else if (const auto* e = std::get_if<TranscriptEvent>(&event); e != nullptr && e->final) {
      BOOST_CHECK(e->start == told);
      told = e->end;
    }
  }
  BOOST_CHECK(told == duration_of(255));
}

BOOST_AUTO_TEST_CASE(an_empty_answer_is_a_final_without_words_and_is_not_translated) {
  SpeechOptions options;
  options.translations = {"de"};
  Scene scene([](const ScriptedQuestion&) { return std::string("\n "); }, options);
  scene.hear(50, true).hear(15, false);
  require_lines(scene.lines(), {"0.0 0.000-2.200 final "});
  BOOST_TEST(scene.captioner->idle());
  BOOST_TEST(scene.bench.counters.translations == 0u);
}

BOOST_AUTO_TEST_CASE(a_jump_in_time_ends_the_segment_before_it) {
  Scene scene(growing, options_without_partials());
  scene.hear(50, true);
  scene.number += 100;
  scene.hear(50, true).finish();
  require_lines(scene.lines(), {"0.0 0.000-2.000 final good morning everyone and",
                                "1.0 6.000-8.000 final good morning everyone and"});
}

BOOST_AUTO_TEST_CASE(after_the_end_a_stream_may_start_over) {
  Scene scene(growing, options_without_partials());
  scene.hear(50, true).finish();
  scene.number = 0;
  scene.hear(50, true).finish();
  require_lines(scene.lines(), {"0.0 0.000-2.000 final good morning everyone and",
                                "1.0 0.000-2.000 final good morning everyone and"});
}

BOOST_AUTO_TEST_CASE(lost_audio_is_counted_and_told) {
  Scene scene(growing, {});
  scene.hear(10, false);
  scene.captioner->lost(test_patch(10, false), 25);
  BOOST_TEST(scene.bench.counters.dropped == 25u);
  require_lines(scene.lines(), {"loss 0.400-1.400"});
}

BOOST_AUTO_TEST_CASE(a_reset_forgets_all_and_late_answers_are_not_told) {
  Scene scene(growing, {}, Answers::kWhenTold);
  scene.captioner->set_live(true);
  scene.hear_live(20, true).hear_live(15, false).hear_live(20, true);
  BOOST_TEST(scene.engine->open_questions() >= 2u);
  scene.captioner->reset();
  BOOST_TEST(scene.captioner->idle());
  while (scene.engine->answer_next()) scene.bench.run_posted();
  BOOST_TEST(scene.lines().empty());
  BOOST_TEST(scene.engine->contexts_alive() == 1u);  // the prompt
  scene.number = 0;
  scene.hear_live(20, true).hear_live(15, false);
  while (scene.engine->answer_next()) scene.bench.run_posted();
  BOOST_TEST(scene.lines().size() == 1u);
}

BOOST_AUTO_TEST_CASE(translations_are_follow_ups_of_the_same_context) {
  SpeechOptions options = options_without_partials();
  options.translations = {"de", "es"};
  Scene scene(
      [](const ScriptedQuestion& question) {
        if (question.begun.ends_with("German:")) return question.begun + " guten Morgen";
        if (question.begun.ends_with("Spanish:")) return question.begun + " buenos dias";
        return std::string("good morning");
      },
      options);
  scene.hear(50, true).hear(15, false);
  require_lines(scene.lines(),
                {"0.0 0.000-2.200 final good morning", "0 de guten Morgen", "0 es buenos dias"});
  const auto questions = scene.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 3u);
  BOOST_TEST(scene.engine->audio_rows() == 55u);
  BOOST_TEST(questions[1].patches == 55u);
  BOOST_TEST(questions[1].begun == "good morning\nGerman:");
  BOOST_TEST(questions[1].prompt == questions[0].prompt + "good morning<turn|>\n<|turn>user\n" +
                                        translation_prompt("English", "German") +
                                        "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  BOOST_TEST(scene.bench.counters.translations == 2u);
  const auto told = scene.bench.all<TranslationEvent>();
  BOOST_CHECK(told[0].start == 0ms);
  BOOST_CHECK(told[0].end == 2200ms);
  BOOST_TEST(told[0].source_language == "en");
}

BOOST_AUTO_TEST_CASE(finals_do_not_wait_for_translations_but_each_language_keeps_its_order) {
  SpeechOptions options = options_without_partials();
  options.translations = {"de", "es"};
  Scene scene(
      [](const ScriptedQuestion& question) {
        return question.begun.empty() ? std::string("good morning") : question.begun + " now";
      },
      options, Answers::kWhenTold);
  scene.captioner->set_live(true);
  scene.hear_live(20, true).hear_live(15, false).hear_live(20, true).hear_live(15, false);
  BOOST_TEST(scene.engine->open_questions() == 2u);
  scene.answer().answer();
  BOOST_TEST(scene.lines().size() == 2u);  // both finals
  scene.answer().answer().answer().answer();
  require_lines(scene.lines(),
                {"0.0 0.000-1.000 final good morning", "1.0 1.200-2.400 final good morning",
                 "0 de now", "0 es now", "1 de now", "1 es now"});
  BOOST_TEST(scene.captioner->idle());
}

BOOST_AUTO_TEST_CASE(an_error_of_the_engine_is_thrown_on_the_captioners_thread) {
  Scene scene(
      [](const ScriptedQuestion&) -> std::string {
        throw std::runtime_error("step 7 failed: out of memory");
      },
      options_without_partials(), Answers::kWhenTold);
  scene.hear(50, true).hear(14, false);
  scene.captioner->take(test_patch(scene.number++, false));
  BOOST_REQUIRE(scene.engine->answer_next());
  BOOST_CHECK_EXCEPTION(scene.bench.run_posted(), std::runtime_error, [](const auto& error) {
    return std::string(error.what()) == "step 7 failed: out of memory";
  });
}

BOOST_AUTO_TEST_CASE(a_partial_without_kv_is_skipped_but_a_final_without_kv_is_an_error) {
  Scene scene(
      [](const ScriptedQuestion& question) -> std::string {
        if (question.patches < 25) throw KvExhausted("no KV pages are left");
        return "good";
      },
      {});
  scene.hear(20, true);
  BOOST_TEST(scene.bench.counters.partials_skipped == 1u);
  scene.hear(20, true);
  require_lines(scene.lines(), {"0.0 0.000-1.000 |good"});
  scene.hear(20, false);

  Scene broken(
      [](const ScriptedQuestion&) -> std::string { throw KvExhausted("no KV pages are left"); },
      options_without_partials());
  BOOST_CHECK_THROW(broken.hear(20, true).hear(20, false), KvExhausted);
}

BOOST_AUTO_TEST_CASE(an_answer_of_a_stopped_engine_is_an_error) {
  Scene scene(growing, options_without_partials(), Answers::kWhenTold);
  scene.hear(20, true);
  scene.captioner->take(test_patch(scene.number, true));
  scene.captioner->finish();
  BOOST_REQUIRE(scene.engine->cancel_next());
  BOOST_CHECK_THROW(scene.bench.run_posted(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_with_a_sentence) {
  const auto with = [](auto change) {
    SpeechOptions options;
    change(options);
    return refusal_of(options);
  };
  BOOST_TEST(with([](auto&) {}) == "accepted");
  BOOST_TEST(with([](auto& o) { o.language = "xx"; }).starts_with("'xx' is no language"));
  BOOST_TEST(with([](auto& o) { o.translations = {"en"}; }).starts_with("A translation into 'en'"));
  BOOST_TEST(with([](auto& o) {
               o.translations = {"de", "de"};
             }).starts_with("A translation into"));
  BOOST_TEST(with([](auto& o) { o.translations = {"q"}; }).starts_with("'q' is no language"));
  BOOST_TEST(with([](auto& o) { o.hold_back_words = 0; }).starts_with("hold-back-words"));
  BOOST_TEST(with([](auto& o) { o.tokens_per_second_max = 0; }).starts_with("tokens-per-second"));
  BOOST_TEST(with([](auto& o) { o.partial_interval = -1ms; }).starts_with("partial-interval"));
  BOOST_TEST(with([](auto& o) { o.segmenter.segment_max = 20s; }).starts_with("segment-max"));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_cannot_hear_is_refused) {
  const auto engine = ScriptedEngine::make(kWords, growing, Answers::kAtOnce);
  engine->remove_audio();
  CaptionerBench bench;
  BOOST_CHECK_THROW(SpeechCaptioner(engine, {}, bench.ports(), bench.counters),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(no_context_outlives_its_segment) {
  Scene scene(growing, {});
  for (int i = 0; i < 5; ++i) scene.hear(40, true).hear(20, false);
  BOOST_TEST(scene.engine->contexts_alive() == 1u);
  scene.captioner.reset();
  BOOST_TEST(scene.engine->contexts_alive() == 0u);
}
