#define BOOST_TEST_MODULE scene_captioner
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/caption_prompt.h"
#include "elements/scene_captioner.h"
#include "tests/support/captioner_bench.h"
#include "tests/support/scripted_engine.h"

using namespace captiond;
using namespace std::chrono_literals;
using Answers = ScriptedEngine::Answers;

namespace {

class Show {
 public:
  explicit Show(
      SceneOptions options = {}, Answers answers = Answers::kAtOnce,
      Script script =
          [](const ScriptedQuestion& q) {
            return "a picture of " + std::to_string(q.picture_patches) + " patches";
          })
      : engine(ScriptedEngine::make("a picture of patches", std::move(script), answers)),
        captioner(std::make_unique<SceneCaptioner>(engine, std::move(options), bench.ports(),
                                                   bench.counters)) {}

  // Of `columns` times two patches.
  Show& see(StreamTime time, std::size_t columns = 3) {
    BOOST_REQUIRE(captioner->accepts());
    Picture picture;
    picture.time = time;
    picture.patches.rows = 2;
    picture.patches.columns = columns;
    picture.patches.pixels.resize(2 * columns * VisionPatches::kBytesPerPatch);
    captioner->take(std::move(picture));
    if (engine->open_questions() == 0) bench.run_posted();
    return *this;
  }
  Show& answer() {
    BOOST_REQUIRE(engine->answer_next());
    bench.run_posted();
    return *this;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const CaptionEvent& event : bench.events) out.push_back(to_line(event));
    return out;
  }

  std::shared_ptr<ScriptedEngine> engine;
  CaptionerBench bench;
  std::unique_ptr<SceneCaptioner> captioner;
};

void require_lines(const Show& show, const std::vector<std::string>& wanted) {
  BOOST_TEST(show.lines() == wanted, boost::test_tools::per_element());
}

// Frames a second apart, one description in five seconds.
Show video_of(std::size_t frames, Answers answers = Answers::kAtOnce) {
  SceneOptions options;
  options.frames = frames;
  options.prompt = "What?";
  return Show(options, answers);
}

// What stands between "user\n" and the question.
std::string frames_of(const ScriptedQuestion& question) {
  const std::string head = "<bos><|turn>user\n";
  BOOST_REQUIRE(question.layout.starts_with(head));
  return question.layout.substr(head.size(), question.layout.find("What?") - head.size());
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_picture_stands_before_the_question_about_it) {
  SceneOptions options;
  options.prompt = "What is it?";
  options.tokens_max = 40;
  Show show(options);
  show.see(1s);
  const auto questions = show.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 1u);
  BOOST_TEST(questions[0].picture_patches == 6u);
  BOOST_TEST(questions[0].max_tokens == 40u);
  BOOST_TEST(questions[0].prompt ==
             "<bos><|turn>user\n<|image><image|>What is it?<turn|>\n<|turn>model\n"
             "<|channel>thought\n<channel|>");
  require_lines(show, {"scene 0 1.000 a picture of 6 patches"});
  BOOST_CHECK(show.bench.all<SceneEvent>()[0].end == 6s);
}

BOOST_AUTO_TEST_CASE(pixels_are_scaled_when_they_are_described_and_then_given_back) {
  SceneOptions options;
  options.soft_tokens_max = 140;
  Show show(options);
  const Image image{.size = {40, 30}, .pixels = std::vector<std::uint8_t>(40 * 30 * 3, 128)};
  for (const StreamTime time : {0s, 1s, 5s}) {
    auto pixels = std::make_shared<const ImageView>(image.view());
    const std::weak_ptr<const ImageView> kept = pixels;
    Picture picture;
    picture.time = time;
    picture.pixels = std::move(pixels);
    show.captioner->take(std::move(picture));
    show.bench.run_posted();
    BOOST_TEST(kept.expired());
  }
  const auto questions = show.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 2u);
  const std::size_t patches = target_grid({40, 30}, 140).count();
  for (const ScriptedQuestion& q : questions) BOOST_TEST(q.picture_patches == patches);
}

BOOST_AUTO_TEST_CASE(an_empty_prompt_is_a_question_about_a_picture_or_a_video) {
  SceneOptions options;
  Show picture(options);
  picture.see(0s);
  BOOST_TEST(picture.engine->questions()[0].layout ==
             "<bos><|turn>user\n<|image>[6]<image|>Describe what can be seen in this picture in "
             "one short sentence.<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  options.frames = 2;
  Show video(options);
  video.see(0s);
  BOOST_TEST(video.engine->questions()[0].layout ==
             "<bos><|turn>user\n00:00 <|image>[video 6]<image|>Describe what happens in this "
             "video in one short sentence.<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
}

BOOST_AUTO_TEST_CASE(a_videos_prompt_has_the_ids_of_its_published_text) {
  const auto engine = ScriptedEngine::make(
      "What happens here", [](const ScriptedQuestion&) { return std::string(); }, Answers::kAtOnce);
  const std::vector<std::chrono::seconds> times = {0s, 1s, 60s};
  const auto around =
      video_question(engine->tokenizer(), engine->config(), times, " What happens here? ");
  BOOST_REQUIRE_EQUAL(around.size(), 4u);
  std::vector<TokenId> ids = around[0];
  for (std::size_t frame = 0; frame < 3; ++frame) {
    ids.insert(ids.end(), 2, engine->config().video_token_id);
    ids.insert(ids.end(), around[frame + 1].begin(), around[frame + 1].end());
  }
  // Reference model.md 3.6 and 7.2, two soft tokens a frame.
  const std::vector<TokenId> wanted = engine->tokenizer().encode(
      "<bos><|turn>user\n00:00 <|image><|video|><|video|><image|> 00:01 "
      "<|image><|video|><|video|><image|> 01:00 <|image><|video|><|video|><image|>What happens "
      "here?<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  BOOST_TEST(ids == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(several_frames_are_asked_about_in_the_published_form_of_a_video) {
  Show show = video_of(3);
  // Ten a second, each second's pictures one column wider.
  for (int i = 0; i <= 50; ++i) {
    show.see(i * 100ms, 1 + static_cast<std::size_t>(i / 10));
  }
  const auto questions = show.engine->questions();
  BOOST_REQUIRE_EQUAL(questions.size(), 2u);
  BOOST_TEST(frames_of(questions[0]) == "00:00 <|image>[video 2]<image|>");
  BOOST_TEST(frames_of(questions[1]) ==
             "00:00 <|image>[video 8]<image|> 00:01 <|image>[video 10]<image|> "
             "00:02 <|image>[video 12]<image|>");
  BOOST_CHECK(show.bench.all<SceneEvent>()[1].time == 5s);
}

BOOST_AUTO_TEST_CASE(a_video_forgets_what_came_before_a_gap_a_reset_and_a_jump) {
  const auto last_after = [](auto change, StreamTime next) {
    Show show = video_of(3);
    show.see(8s).see(9s).see(10s, 1);
    change(*show.captioner);
    show.see(next, 2);
    return frames_of(show.engine->questions().back());
  };
  const std::string alone = "00:00 <|image>[video 4]<image|>";
  BOOST_TEST(last_after([](SceneCaptioner& c) { c.finish(); }, 11s) == alone);
  BOOST_TEST(last_after([](SceneCaptioner& c) { c.reset(); }, 11s) == alone);
  BOOST_TEST(last_after([](SceneCaptioner&) {}, 2s) == alone);
  BOOST_TEST(last_after([](SceneCaptioner&) {}, 14s) == alone);
  BOOST_TEST(last_after([](SceneCaptioner&) {}, 13s) ==
             "00:00 <|image>[video 2]<image|> 00:03 <|image>[video 4]<image|>");
}

BOOST_AUTO_TEST_CASE(a_live_video_goes_on_while_a_description_is_in_flight) {
  Show show = video_of(3, Answers::kWhenTold);
  show.captioner->set_live(true);
  for (std::size_t second = 0; second <= 6; ++second) {
    show.see(std::chrono::seconds(second), 1 + second);
  }
  BOOST_TEST(show.engine->open_questions() == 1u);
  BOOST_TEST(show.bench.counters.scenes_skipped == 2u);
  show.answer().see(7s, 8).answer();
  BOOST_TEST(frames_of(show.engine->questions().back()) ==
             "00:00 <|image>[video 12]<image|> 00:01 <|image>[video 14]<image|> "
             "00:02 <|image>[video 16]<image|>");
}

BOOST_AUTO_TEST_CASE(a_frame_is_scaled_if_a_description_can_reach_it_and_given_back_at_once) {
  SceneOptions options;
  options.interval = 60s;
  options.frames = 3;
  Show show(options);
  std::size_t given_back = 0;
  const Image image{.size = {40, 30}, .pixels = std::vector<std::uint8_t>(40 * 30 * 3, 128)};
  for (int second = 0; second <= 60; ++second) {
    // 56 s is beyond reach of the one due at 60 s: a size that cannot be scaled.
    const bool within = second == 0 || second >= 57;
    auto pixels = std::make_shared<ImageView>(image.view());
    if (!within) pixels->size = {0, 0};
    const std::weak_ptr<const ImageView> kept = pixels;
    Picture picture;
    picture.time = std::chrono::seconds(second);
    picture.pixels = std::move(pixels);
    show.captioner->take(std::move(picture));
    show.bench.run_posted();
    given_back += kept.expired() ? 1u : 0u;
  }
  BOOST_TEST(given_back == 61u);
  BOOST_TEST(show.engine->questions().back().picture_patches ==
             3 * target_grid({40, 30}, 70).count());
}

BOOST_AUTO_TEST_CASE(more_frames_than_the_checkpoint_has_positions_for_are_refused) {
  SceneOptions options;
  options.frames = 32;
  Show fits(options);
  const auto engine = ScriptedEngine::make(
      "a", [](const ScriptedQuestion&) { return std::string(); }, Answers::kAtOnce);
  options.soft_tokens_max = 1120;
  const auto most = static_cast<std::size_t>(engine->config().text.max_position_embeddings);
  options.tokens_max = most;
  CaptionerBench bench;
  BOOST_CHECK_EXCEPTION(
      SceneCaptioner(engine, options, bench.ports(), bench.counters), std::invalid_argument,
      [&](const std::invalid_argument& error) {
        const std::string what = error.what();
        return what.starts_with("scene-frames is 32 and scene-soft-tokens-max 1120, ") &&
               what.ends_with("max_position_embeddings is " + std::to_string(most) +
                              ": make one of them smaller.");
      });
}

BOOST_AUTO_TEST_CASE(the_first_picture_and_then_one_an_interval_is_described) {
  Show show;
  for (int second = 0; second <= 12; ++second) show.see(std::chrono::seconds(second));
  std::vector<StreamTime> times;
  for (const SceneEvent& event : show.bench.all<SceneEvent>()) times.push_back(event.time);
  const std::vector<StreamTime> wanted = {0s, 5s, 10s};
  BOOST_CHECK(times == wanted);
  BOOST_TEST(show.bench.counters.scenes == 3u);
  BOOST_TEST(show.engine->contexts_alive() == 1u);  // the prompt
}

BOOST_AUTO_TEST_CASE(an_interval_of_zero_describes_every_picture) {
  SceneOptions options;
  options.interval = 0s;
  Show show(options);
  show.see(0ms).see(40ms).see(80ms);
  BOOST_TEST(show.bench.counters.scenes == 3u);
}

BOOST_AUTO_TEST_CASE(a_source_that_can_wait_waits_for_the_description) {
  Show show({}, Answers::kWhenTold);
  show.see(0s);
  BOOST_TEST(!show.captioner->accepts());
  BOOST_TEST(!show.captioner->idle());
  show.answer();
  BOOST_TEST(show.captioner->accepts());
  BOOST_TEST(show.captioner->idle());
}

BOOST_AUTO_TEST_CASE(a_live_source_skips_what_is_due_meanwhile_and_counts_it) {
  Show show({}, Answers::kWhenTold);
  show.captioner->set_live(true);
  show.see(0s).see(1s).see(5s).see(6s);
  BOOST_TEST(show.engine->open_questions() == 1u);
  BOOST_TEST(show.bench.counters.scenes_skipped == 2u);
  show.answer().see(7s).answer();
  const auto told = show.bench.all<SceneEvent>();
  BOOST_REQUIRE_EQUAL(told.size(), 2u);
  BOOST_CHECK(told[1].time == 7s);
}

BOOST_AUTO_TEST_CASE(a_description_that_does_not_end_is_marked) {
  SceneOptions options;
  options.tokens_max = 3;
  Show show(options, Answers::kAtOnce,
            [](const ScriptedQuestion&) { return std::string("a picture of a picture of a"); });
  show.see(0s);
  BOOST_TEST(show.bench.all<SceneEvent>()[0].truncated);
  BOOST_TEST(show.bench.all<SceneEvent>()[0].text == "a picture of");
  BOOST_TEST(show.bench.counters.truncated == 1u);
}

BOOST_AUTO_TEST_CASE(after_the_end_the_next_stream_begins_with_a_description) {
  Show show;
  show.see(9s);
  show.captioner->finish();
  show.see(1s).see(2s);
  BOOST_TEST(show.bench.counters.scenes == 2u);
}

BOOST_AUTO_TEST_CASE(pictures_that_jump_back_are_described) {
  Show show;
  show.see(9s).see(1s);
  BOOST_TEST(show.bench.counters.scenes == 2u);
}

BOOST_AUTO_TEST_CASE(after_a_reset_a_late_answer_is_not_told) {
  Show show({}, Answers::kWhenTold);
  show.see(0s);
  show.captioner->reset();
  BOOST_TEST(show.captioner->idle());
  show.answer();
  BOOST_TEST(show.lines().empty());
  show.see(0s).answer();
  require_lines(show, {"scene 0 0.000 a picture of 6 patches"});
}

BOOST_AUTO_TEST_CASE(an_error_of_the_engine_is_thrown_on_the_captioners_thread) {
  Show show({}, Answers::kWhenTold, [](const ScriptedQuestion&) -> std::string {
    throw std::runtime_error("a picture of 6 patches exceeds the budget");
  });
  show.see(0s);
  BOOST_CHECK_THROW(show.answer(), std::runtime_error);
  Show cancelled({}, Answers::kWhenTold);
  cancelled.see(0s);
  BOOST_REQUIRE(cancelled.engine->cancel_next());
  BOOST_CHECK_THROW(cancelled.bench.run_posted(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(options_and_checkpoints_that_cannot_be_are_refused) {
  const auto refused = [](auto change) {
    SceneOptions options;
    change(options);
    BOOST_CHECK_THROW(Show{options}, std::invalid_argument);
  };
  refused([](auto& o) { o.interval = -1s; });
  refused([](auto& o) { o.tokens_max = 0; });
  refused([](auto& o) { o.frames = 0; });
  refused([](auto& o) { o.frames = 33; });
  refused([](auto& o) { o.frame_distance = 0s; });
  refused([](auto& o) {
    o.frames = 6;
    o.frame_distance = 10'001ms;
  });
  const auto engine = ScriptedEngine::make(
      "a", [](const ScriptedQuestion&) { return std::string(); }, Answers::kAtOnce);
  engine->remove_vision();
  CaptionerBench bench;
  BOOST_CHECK_THROW(SceneCaptioner(engine, {}, bench.ports(), bench.counters),
                    std::invalid_argument);
}
