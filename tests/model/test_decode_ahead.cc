// Decode steps that are begun before the tokens of the step in front are known; test_context has
// all other promises of a context with and without them.
#define BOOST_TEST_MODULE decode_ahead

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/model/toy_engine.h"

using namespace captiond;
using namespace captiond::test;

namespace {

// What the steps of an engine were made of.
struct Seen {
  std::atomic<std::size_t> ahead = 0;  // steps with rows whose ids were not known yet
  std::atomic<std::size_t> rows = 0;   // of these

  std::function<void(const Step&)> note() {
    return [this](const Step& step) {
      const auto chosen = std::count_if(
          step.slices.begin(), step.slices.end(),
          [](const StepSlice& slice) { return std::holds_alternative<ChosenRow>(slice.rows); });
      if (chosen > 0) ++ahead;
      rows += static_cast<std::size_t>(chosen);
    };
  }
};

// Whose continuation of `count` tokens stops by itself, or does not.
std::vector<TokenId> prompt_that(bool stops, std::size_t count, std::uint32_t seed) {
  while (true) {
    std::vector<TokenId> ids = toy_prompt(7, seed++);
    if ((Toy::continuation(ids, count).size() < count) == stops) return ids;
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_but_the_first_tokens_of_a_generation_are_begun_ahead) {
  Seen seen;
  const auto engine = open_toy({.ahead_rows_max = 4, .before_step = seen.note()});
  const auto context = engine->new_context();
  const auto ids = prompt_that(false, 20, 1);
  context->append(ids);
  BOOST_TEST(context->generate(tokens(20)).get().tokens == Toy::continuation(ids, 20));
  context->flush().get();
  // The prompt chooses token 1, its row token 2; the row of token 20 is only written.
  BOOST_TEST(seen.ahead == 18U);
}

BOOST_AUTO_TEST_CASE(a_token_that_stops_makes_one_row_void_and_nothing_else) {
  Seen seen;
  const auto engine = open_toy({.pages = 8, .ahead_rows_max = 4, .before_step = seen.note()});
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto ids = prompt_that(true, 60, 100 * i);
    const auto expected = Toy::continuation(ids, 60);
    const auto context = engine->new_context();
    context->append(ids);
    const Generation generation = context->generate(tokens(60)).get();
    BOOST_TEST(generation.tokens == expected);
    BOOST_TEST((generation.stop == StopReason::kStopToken));
    BOOST_TEST(context->length() == ids.size() + expected.size());
    // Behind the void row the context goes on as if it had not been.
    auto all = ids;
    all.insert(all.end(), expected.begin(), expected.end());
    const auto child = context->fork();
    for (Context* each : {child.get(), context.get()}) {
      each->append(std::vector<TokenId>{9, 8});
      auto longer = all;
      longer.insert(longer.end(), {9, 8});
      BOOST_TEST(each->generate(tokens(5)).get().tokens == Toy::continuation(longer, 5));
    }
  }
  BOOST_TEST(seen.ahead > 0U);
  // Nothing keeps a page: a context as long as the budget fits.
  const auto last = engine->new_context();
  last->append(toy_prompt(8 * kPagePositions - 1, 3));
  last->flush().get();
}

BOOST_AUTO_TEST_CASE(contexts_that_end_at_different_times_leave_the_others_alone) {
  Seen seen;
  std::promise<void> asked;
  const auto engine = open_toy(
      {.ahead_rows_max = 16,
       .before_step = [note = seen.note(), all = asked.get_future().share()](const Step& step) {
         all.wait();
         note(step);
       }});
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::vector<TokenId>> expected;
  std::vector<std::future<Generation>> generations;
  for (std::uint32_t i = 0; i < 12; ++i) {
    const auto ids = prompt_that(i % 3 == 0, 40, 1000 * i);
    const std::size_t count = 3 + 5 * i % 38;
    expected.push_back(Toy::continuation(ids, count));
    contexts.push_back(engine->new_context());
    contexts.back()->append(ids);
    GenerateOptions options = tokens(count);
    if (i % 4 == 1) options.draft.assign(expected.back().begin(), expected.back().begin() + 2);
    if (i % 4 == 2) options.sampling.greedy = false, options.sampling.top_k = 1;
    generations.push_back(contexts.back()->generate(std::move(options)));
  }
  asked.set_value();
  for (std::size_t i = 0; i < generations.size(); ++i) {
    BOOST_TEST(generations[i].get().tokens == expected[i], "context " << i);
  }
  BOOST_TEST(seen.ahead > 0U);
  BOOST_TEST(seen.rows > seen.ahead, "rows of many contexts are begun together");
}

// With neighbours that are greedy, drafts that hold and do not, stops and prompts of one step or
// two.
BOOST_AUTO_TEST_CASE(sampled_tokens_are_those_of_steps_that_are_not_begun_ahead) {
  struct Answer {
    std::vector<TokenId> tokens;
    StopReason stop = StopReason::kStopToken;
    std::size_t draft_accepted = 0;
    bool operator==(const Answer&) const = default;
  };
  const auto answers = [](std::size_t ahead_rows_max, const std::vector<Answer>& drafts,
                          Seen& seen) {
    const auto engine = open_toy({.ahead_rows_max = ahead_rows_max, .before_step = seen.note()});
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<std::future<Generation>> generations;
    for (std::uint32_t i = 0; i < 24; ++i) {
      contexts.push_back(engine->new_context());
      contexts.back()->append(toy_prompt(i % 5 == 0 ? 100 : 7, 10 * i));
      if (i % 2 == 0) contexts.back()->flush().get();
      GenerateOptions options = tokens(60);
      options.sampling = {.greedy = i % 4 == 3,
                          .temperature = 1.0 + i % 3,
                          .top_k = i % 3 == 0 ? 10 : 0,
                          .top_p = i % 3 == 1 ? 0.9 : 1.0,
                          .seed = i};
      if (!drafts.empty()) options.draft = drafts[i].tokens;
      if (options.draft.size() > 12 && i % 2 == 0) options.draft[12] = options.draft[12] % 50 + 2;
      generations.push_back(contexts.back()->generate(std::move(options)));
    }
    std::vector<Answer> out;
    for (auto& generation : generations) {
      Generation got = generation.get();
      out.push_back({std::move(got.tokens), got.stop, got.draft_accepted});
    }
    return out;
  };
  Seen plain, ahead, with_drafts;
  const std::vector<Answer> expected = answers(0, {}, plain);
  BOOST_TEST(plain.ahead == 0U);
  BOOST_TEST((answers(32, {}, ahead) == expected));
  BOOST_TEST(ahead.ahead > 0U);
  const std::vector<Answer> drafted = answers(32, expected, with_drafts);
  BOOST_TEST(with_drafts.ahead > 0U, "behind a draft that failed");
  std::size_t stopped = 0;
  for (std::size_t i = 0; i < drafted.size(); ++i) {
    BOOST_TEST(drafted[i].tokens == expected[i].tokens, "context " << i);
    if (i % 2 == 1) BOOST_TEST(drafted[i].draft_accepted == expected[i].tokens.size());
    stopped += expected[i].stop == StopReason::kStopToken ? 1U : 0U;
  }
  BOOST_TEST(stopped > 0U);
  BOOST_TEST(stopped < drafted.size());
}

BOOST_AUTO_TEST_CASE(whoever_else_wants_rows_waits_for_one_step) {
  std::promise<void> asked;
  std::atomic<std::size_t> steps = 0;
  std::atomic<std::size_t> served = 0;  // the step with the newcomer's rows
  const auto engine = open_toy({.ahead_rows_max = 4, .before_step = [&](const Step& step) {
                                  if (++steps == 10) asked.get_future().wait();
                                  for (const StepSlice& slice : step.slices) {
                                    if (slice.count == 5) served = steps.load();
                                  }
                                }});
  const auto talker = engine->new_context();
  talker->append(prompt_that(false, 200, 1));
  auto talk = talker->generate(tokens(200));
  const auto newcomer = engine->new_context();
  while (steps < 10) std::this_thread::yield();
  newcomer->append(toy_prompt(5, 2));
  asked.set_value();
  newcomer->flush().get();
  // Step 10 had begun; by then nothing behind it had.
  BOOST_TEST(served == 11U);
  talk.get();
}

BOOST_AUTO_TEST_CASE(a_step_that_cannot_be_begun_ahead_is_planned_again) {
  std::size_t refused = 0;
  const auto engine = open_toy({.ahead_rows_max = 4, .before_step = [&](const Step& step) {
                                  if (step.slices.empty()) return;  // a head alone
                                  const auto& rows = step.slices.front().rows;
                                  if (!std::holds_alternative<ChosenRow>(rows)) return;
                                  ++refused;
                                  throw std::runtime_error("Not now.");
                                }});
  const auto ids = prompt_that(false, 20, 1);
  const auto context = engine->new_context();
  context->append(ids);
  BOOST_TEST(context->generate(tokens(20)).get().tokens == Toy::continuation(ids, 20));
  BOOST_TEST(refused == 18U);
}

BOOST_AUTO_TEST_CASE(a_step_that_fails_goes_to_its_contexts) {
  std::size_t steps = 0;
  const auto engine = open_toy({.ahead_rows_max = 4, .before_step = [&](const Step&) {
                                  if (++steps >= 6 && steps <= 7) {
                                    throw std::runtime_error("The toy step failed.");
                                  }
                                }});
  const auto context = engine->new_context();
  context->append(prompt_that(false, 20, 1));
  BOOST_CHECK_THROW(context->generate(tokens(20)).get(), std::runtime_error);
  const auto other = engine->new_context();
  const auto ids = prompt_that(false, 20, 7);
  other->append(ids);
  BOOST_TEST(other->generate(tokens(20)).get().tokens == Toy::continuation(ids, 20));
}

BOOST_AUTO_TEST_CASE(a_context_that_goes_away_is_cancelled) {
  const auto engine = open_toy({.pages = 500, .ahead_rows_max = 4});
  for (std::uint32_t i = 0; i < 20; ++i) {
    auto context = engine->new_context();
    context->append(prompt_that(false, 100, i));
    std::promise<void> heard;
    std::promise<void> gone;
    GenerateOptions options = tokens(5000);
    options.on_token = [&, count = 0](TokenId) mutable {
      if (++count != 5) return;
      heard.set_value();
      gone.get_future().wait();  // the step behind this token has begun
    };
    auto generation = context->generate(std::move(options));
    heard.get_future().wait();
    context.reset();
    gone.set_value();
    BOOST_TEST((generation.get().stop == StopReason::kCancelled));
  }
  const auto last = engine->new_context();
  last->append(toy_prompt(500 * kPagePositions - 1, 3));
  last->flush().get();
}

BOOST_AUTO_TEST_CASE(a_context_without_pages_for_its_next_token_fails_alone) {
  // 7 positions and 20 tokens take two pages; five contexts would need ten.
  const auto engine = open_toy({.pages = 9, .ahead_rows_max = 8});
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::future<Generation>> generations;
  for (std::uint32_t i = 0; i < 5; ++i) {
    prompts.push_back(prompt_that(false, 24, 50 * i));
    contexts.push_back(engine->new_context());
    contexts.back()->append(prompts.back());
    generations.push_back(contexts.back()->generate(tokens(20)));
  }
  std::size_t failed = 0;
  for (std::size_t i = 0; i < generations.size(); ++i) {
    try {
      BOOST_TEST(generations[i].get().tokens == Toy::continuation(prompts[i], 20));
    } catch (const KvExhausted&) {
      ++failed;
    }
  }
  BOOST_TEST(failed == 1U);
}
