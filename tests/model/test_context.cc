// What a context promises, on the toy model: the real queue, scheduler and pages without torch.
// With the argument "ahead", decode steps are begun ahead, as on a GPU.
#define BOOST_TEST_MODULE context

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <mutex>
#include <string>

#include <boost/test/unit_test.hpp>

#include "tests/model/toy_engine.h"

using namespace captiond;
using namespace captiond::test;

namespace {

std::shared_ptr<Engine> open_engine(ToyOptions options = {}) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  if (suite.argc > 1 && std::string(suite.argv[1]) == "ahead") options.ahead_rows_max = 16;
  return open_toy(std::move(options));
}

// A prompt whose continuation has at least `count` tokens before it stops.
std::vector<TokenId> long_winded_prompt(std::size_t length, std::size_t count,
                                        std::uint32_t seed = 1) {
  while (true) {
    std::vector<TokenId> ids = toy_prompt(length, seed++);
    if (Toy::continuation(ids, count).size() == count) return ids;
  }
}

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<TokenId> generated(Context& context, std::size_t count) {
  return context.generate(tokens(count)).get().tokens;
}

// Holds the engine's thread in front of its first step.
class Gate {
 public:
  std::function<void(const Step&)> wait() const {
    return [opened = opened_](const Step&) { opened.wait(); };
  }
  void open() { promise_.set_value(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> opened_ = promise_.get_future().share();
};

// Who was done when.
class Order {
 public:
  GenerationCallback note(std::string name) {
    return [this, name = std::move(name)](Generation, const std::exception_ptr&) {
      const std::lock_guard lock(mutex_);
      names_.push_back(name);
    };
  }
  std::vector<std::string> names() {
    const std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> names_;
};

bool says(const std::exception& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_generation_continues_what_was_appended) {
  const auto engine = open_engine();
  for (const std::size_t length : std::vector<std::size_t>{1, 2, 15, 16, 17, 63, 64, 65, 200}) {
    const auto ids = long_winded_prompt(length, 40);
    const auto context = engine->new_context();
    context->append(ids);
    BOOST_TEST(context->length() == length);
    BOOST_TEST(generated(*context, 40) == Toy::continuation(ids, 40));
    BOOST_TEST(context->length() == length + 40);
  }
}

BOOST_AUTO_TEST_CASE(cutting_a_prompt_into_appends_changes_nothing) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(100, 30);
  for (const std::size_t piece : std::vector<std::size_t>{1, 3, 16, 37}) {
    const auto context = engine->new_context();
    for (std::size_t i = 0; i < ids.size(); i += piece) {
      context->append(std::span(ids).subspan(i, std::min(piece, ids.size() - i)));
      if (i % 2 == 0) context->flush().get();
    }
    BOOST_TEST(generated(*context, 30) == Toy::continuation(ids, 30));
  }
}

BOOST_AUTO_TEST_CASE(a_generation_stops_at_a_stop_token_and_leaves_it_out) {
  const auto engine = open_engine();
  std::vector<TokenId> ids;
  std::vector<TokenId> expected;
  for (std::uint32_t seed = 1; expected.size() < 3 || expected.size() == 200; ++seed) {
    ids = toy_prompt(20, seed);
    expected = Toy::continuation(ids, 200);
  }
  const auto context = engine->new_context();
  context->append(ids);
  const Generation whole = context->generate(tokens(200)).get();
  BOOST_TEST(whole.tokens == expected);
  BOOST_TEST((whole.stop == StopReason::kStopToken));
  BOOST_TEST(context->length() == ids.size() + expected.size());
  // Asked again at the same place, it stops again.
  BOOST_TEST(generated(*context, 10).empty());

  const auto other = engine->new_context();
  other->append(ids);
  GenerateOptions options = tokens(200);
  options.stop = {expected[2]};
  const auto first = std::find(expected.begin(), expected.end(), expected[2]);
  BOOST_TEST(other->generate(options).get().tokens ==
             std::vector<TokenId>(expected.begin(), first));
}

BOOST_AUTO_TEST_CASE(a_generation_in_two_parts_equals_one) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(30, 40);
  const auto context = engine->new_context();
  context->append(ids);
  auto first = context->generate(tokens(13));
  auto second = context->generate(tokens(27));
  BOOST_TEST((first.get().stop == StopReason::kMaxTokens));
  BOOST_TEST(joined(Toy::continuation(ids, 13), second.get().tokens) == Toy::continuation(ids, 40));
}

BOOST_AUTO_TEST_CASE(on_token_hears_every_token_in_order) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(10, 20);
  const auto context = engine->new_context();
  context->append(ids);
  std::vector<TokenId> heard;
  GenerateOptions options = tokens(20);
  options.draft = Toy::continuation(ids, 9);
  options.on_token = [&](TokenId id) { heard.push_back(id); };
  BOOST_TEST(context->generate(options).get().tokens == heard);
  BOOST_TEST(heard == Toy::continuation(ids, 20));
}

BOOST_AUTO_TEST_CASE(a_draft_saves_steps_and_never_changes_the_tokens) {
  const auto ids = long_winded_prompt(50, 40);
  const std::vector<TokenId> right = Toy::continuation(ids, 40);
  std::vector<TokenId> wrong_inside = right;
  wrong_inside[17] = wrong_inside[17] == 5 ? 6 : 5;
  const std::vector<TokenId> wrong(40, right[0] == 5 ? 6 : 5);
  struct Case {
    std::vector<TokenId> draft;
    std::size_t accepted;
  };
  const std::vector<Case> cases = {
      {{}, 0},
      {right, 40},
      {std::vector(right.begin(), right.begin() + 1), 1},
      {std::vector(right.begin(), right.begin() + 11), 11},
      {std::vector(right.begin(), right.begin() + 39), 39},
      {joined(right, right), 40},
      {wrong, 0},
      {wrong_inside, 17},
      {joined(wrong_inside, right), 17},
  };
  for (const std::size_t step_rows_max : std::vector<std::size_t>{4, 16, 64}) {
    for (const bool flushed : {false, true}) {
      for (const Case& each : cases) {
        const auto engine = open_engine({.step_rows_max = step_rows_max});
        const auto context = engine->new_context();
        context->append(ids);
        if (flushed) context->flush().get();
        const auto steps = engine->statistics().steps;
        GenerateOptions options = tokens(40);
        options.draft = each.draft;
        const Generation out = context->generate(options).get();
        BOOST_TEST(out.tokens == right);
        BOOST_TEST(out.draft_accepted == each.accepted);
        BOOST_TEST(context->length() == ids.size() + 40);
        if (flushed && step_rows_max == 64) {
          BOOST_TEST(engine->statistics().steps - steps <= 40 - each.accepted + 2);
        }
        // The context is as if there had been no draft.
        BOOST_TEST(generated(*context, 10) == Toy::continuation(joined(ids, right), 10));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_fork_goes_its_own_way_and_shares_pages) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(100, 30);
  const auto parent = engine->new_context();
  parent->append(ids);
  parent->flush().get();
  const std::size_t alone = engine->statistics().kv_pages_used;
  std::vector<std::unique_ptr<Context>> forks;
  for (int i = 0; i < 10; ++i) forks.push_back(parent->fork());
  forks.back()->flush().get();
  BOOST_TEST(engine->statistics().kv_pages_used == alone);

  const auto more = toy_prompt(7, 99);
  forks[0]->append(more);
  const auto expected = Toy::continuation(joined(ids, more), 25);
  BOOST_TEST(generated(*forks[0], 25) == expected);
  parent->append(toy_prompt(40, 5));  // writes into the page that all share
  parent->flush().get();
  BOOST_TEST(generated(*forks[1], 30) == Toy::continuation(ids, 30));
  const auto grandchild = forks[2]->fork();
  forks.clear();
  BOOST_TEST(grandchild->length() == 100);
  BOOST_TEST(generated(*grandchild, 30) == Toy::continuation(ids, 30));
}

BOOST_AUTO_TEST_CASE(a_fork_made_while_work_is_queued_sees_all_of_it_and_nothing_later) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(300, 30);
  auto parent = engine->new_context();
  parent->append(ids);
  auto first = parent->generate(tokens(10));
  auto child = parent->fork();
  auto grandchild = child->fork();
  parent->append(toy_prompt(3, 3));
  parent.reset();  // what the fork needs is still done
  const auto expected = Toy::continuation(ids, 30);
  BOOST_TEST(joined(first.get().tokens, generated(*child, 20)) == expected);
  BOOST_TEST(child->length() == 330);
  BOOST_TEST(grandchild->length() == 310);
  BOOST_TEST(generated(*grandchild, 20) == std::vector(expected.begin() + 10, expected.end()));
}

BOOST_AUTO_TEST_CASE(a_truncated_context_equals_a_fresh_one) {
  const auto engine = open_engine();
  const auto ids = long_winded_prompt(100, 20);
  for (const std::size_t length : std::vector<std::size_t>{1, 15, 16, 17, 99, 100}) {
    const std::vector<TokenId> kept(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length));
    const auto context = engine->new_context();
    context->append(ids);
    generated(*context, 5);
    context->truncate(length);
    BOOST_TEST(context->length() == length);
    const auto fork = context->fork();
    BOOST_TEST(generated(*context, 20) == Toy::continuation(kept, 20));
    const auto more = toy_prompt(5, 77);
    fork->append(more);
    BOOST_TEST(generated(*fork, 20) == Toy::continuation(joined(kept, more), 20));
  }
  const auto context = engine->new_context();
  context->append(toy_prompt(20, 3));
  context->truncate(0);
  context->append(ids);
  BOOST_TEST(generated(*context, 20) == Toy::continuation(ids, 20));
}

BOOST_AUTO_TEST_CASE(audio_and_pictures_survive_cuts_forks_and_truncates) {
  const auto engine = open_engine({.step_rows_max = 8});
  const auto run = [&](bool detours) {
    const auto context = engine->new_context();
    context->append(toy_prompt(5, 1));
    context->append(toy_picture(20));
    if (detours) context->append(toy_prompt(9, 8));
    if (detours) context->truncate(25);
    if (detours) generated(*context->fork(), 3);  // computes the picture's last row again
    const AudioPatches audio = toy_audio(30);
    for (std::size_t i = 0; i < 30; i += detours ? 7 : 30) {
      const std::size_t count = detours ? std::min<std::size_t>(7, 30 - i) : 30;
      const auto begin = audio.samples.begin() + static_cast<std::ptrdiff_t>(i * 640);
      context->append(
          AudioPatches{.samples = {begin, begin + static_cast<std::ptrdiff_t>(count * 640)}});
    }
    if (detours) context->append(toy_prompt(9, 8));
    if (detours) context->truncate(55);  // the last position is audio
    const auto fork = context->fork();
    return std::make_pair(generated(*context, 12), generated(*fork, 12));
  };
  const auto plain = run(false);
  BOOST_TEST(plain.first == plain.second);
  BOOST_TEST(!plain.first.empty());
  const auto detoured = run(true);
  BOOST_TEST(detoured.first == plain.first);
  BOOST_TEST(detoured.second == plain.first);
}

BOOST_AUTO_TEST_CASE(contexts_do_not_disturb_each_other) {
  Gate gate;
  const auto engine = open_engine({.step_rows_max = 32, .before_step = gate.wait()});
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::future<Generation>> generations;
  std::vector<std::vector<TokenId>> expected;
  std::size_t alone = 0;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const auto ids = long_winded_prompt(3 + 11 * i % 97, 25, 100 * i);
    expected.push_back(Toy::continuation(ids, 25));
    alone += 25;
    contexts.push_back(engine->new_context());
    contexts.back()->append(ids);
    GenerateOptions options = tokens(25);
    if (i % 3 == 0) options.draft.assign(expected.back().begin(), expected.back().begin() + 12);
    if (i % 3 == 1) options.draft.assign(20, 7);
    generations.push_back(contexts.back()->generate(options));
  }
  gate.open();
  for (std::size_t i = 0; i < generations.size(); ++i) {
    BOOST_TEST(generations[i].get().tokens == expected[i]);
  }
  BOOST_TEST(engine->statistics().steps < alone / 4, "rows of many contexts share a step");
  contexts.clear();
  const auto last = engine->new_context();
  last->flush().get();
  BOOST_TEST(engine->statistics().kv_pages_used == 0U);
}

BOOST_AUTO_TEST_CASE(sampling_repeats_with_its_seed_drafted_or_not) {
  const auto engine = open_engine();
  const auto ids = toy_prompt(20, 4);
  const auto sample = [&](std::uint64_t seed, std::vector<TokenId> draft) {
    const auto context = engine->new_context();
    context->append(ids);
    GenerateOptions options = tokens(30);
    options.sampling = {
        .greedy = false, .temperature = 2.0, .top_k = 20, .top_p = 0.9, .seed = seed};
    options.draft = std::move(draft);
    return context->generate(options).get().tokens;
  };
  const auto first = sample(1, {});
  BOOST_TEST(sample(1, {}) == first);
  BOOST_TEST(sample(1, first) == first);
  BOOST_TEST(sample(1, std::vector<TokenId>(10, 3)) == first);
  BOOST_TEST(sample(2, {}) != first);
}

BOOST_AUTO_TEST_CASE(sliding_pages_are_given_back_and_nothing_changes) {
  const auto engine = open_engine();
  const auto context = engine->new_context();
  const auto ids = long_winded_prompt(3000, 20);
  context->append(ids);
  context->flush().get();
  // Full layers keep all, sliding layers the window and the room for truncate().
  const std::size_t full = (3000 + kPagePositions - 1) / kPagePositions;
  const std::size_t sliding = (Toy::kWindow + kTruncatePositions) / kPagePositions + 2;
  BOOST_TEST(engine->statistics().kv_pages_used <= full + sliding);
  const auto fork = context->fork();
  BOOST_TEST(generated(*fork, 20) == Toy::continuation(ids, 20));

  const std::size_t limit = 3000 - kTruncatePositions;
  BOOST_CHECK_EXCEPTION(context->truncate(limit - 1), RequestError, [&](const RequestError& error) {
    return says(error, std::to_string(limit));
  });
  context->truncate(limit);
  const std::vector<TokenId> kept(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(limit));
  BOOST_TEST(generated(*context, 20) == Toy::continuation(kept, 20));
  context->truncate(0);
  context->append(toy_prompt(10, 6));
  BOOST_TEST(generated(*context, 20) == Toy::continuation(toy_prompt(10, 6), 20));
}

BOOST_AUTO_TEST_CASE(a_context_without_pages_fails_alone) {
  const auto engine = open_engine({.pages = 20});
  const auto good = engine->new_context();
  const auto ids = long_winded_prompt(100, 60);
  good->append(ids);
  good->flush().get();
  const auto greedy = engine->new_context();
  greedy->append(toy_prompt(400, 2));
  auto failed = greedy->generate(tokens(5));
  BOOST_TEST(generated(*good, 60) == Toy::continuation(ids, 60));
  BOOST_CHECK_EXCEPTION(failed.get(), KvExhausted,
                        [](const KvExhausted& error) { return says(error, "kv_positions"); });
  BOOST_CHECK_THROW(greedy->flush().get(), KvExhausted);
  BOOST_CHECK_THROW(greedy->generate(tokens(5)).get(), KvExhausted);
  BOOST_CHECK_THROW(greedy->fork()->flush().get(), KvExhausted);
  // Its pages are free again.
  const auto next = engine->new_context();
  next->append(toy_prompt(150, 3));
  next->flush().get();
}

BOOST_AUTO_TEST_CASE(a_failed_step_goes_to_its_contexts_and_the_others_go_on) {
  const auto engine = open_engine();
  const auto good = engine->new_context();
  const auto ids = long_winded_prompt(10, 20);
  good->append(ids);
  good->flush().get();
  const auto bad = engine->new_context();
  bad->append(std::vector<TokenId>{4, Toy::kFailure, 5});
  BOOST_CHECK_EXCEPTION(bad->generate(tokens(5)).get(), std::runtime_error,
                        [](const std::runtime_error& error) { return says(error, "toy step"); });
  BOOST_TEST(generated(*good, 20) == Toy::continuation(ids, 20));
}

BOOST_AUTO_TEST_CASE(logits_that_are_not_finite_are_an_error_and_never_a_token) {
  const auto engine = open_engine();
  for (const bool greedy : {true, false}) {
    const auto context = engine->new_context();
    context->append(std::vector<TokenId>{4, Toy::kNotANumber});
    GenerateOptions options = tokens(5);
    options.sampling.greedy = greedy;
    bool heard = false;
    options.on_token = [&](TokenId) { heard = true; };
    BOOST_CHECK_EXCEPTION(
        context->generate(options).get(), std::runtime_error,
        [](const std::runtime_error& error) { return says(error, "position 1 the logits"); });
    BOOST_TEST(!heard);
  }
  const auto watched = engine->new_context([](std::size_t, std::span<const float>) {});
  watched->append(std::vector<TokenId>{4, Toy::kNotANumber, 4});
  BOOST_CHECK_THROW(watched->flush().get(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(the_logits_sink_hears_every_appended_position_once) {
  const auto engine = open_engine({.step_rows_max = 8});
  std::vector<std::size_t> positions;
  std::vector<std::vector<float>> rows;
  const auto context = engine->new_context([&](std::size_t position, std::span<const float> row) {
    positions.push_back(position);
    rows.emplace_back(row.begin(), row.end());
  });
  const auto ids = long_winded_prompt(30, 10);
  context->append(ids);
  BOOST_TEST(generated(*context, 10) == Toy::continuation(ids, 10));
  context->append(std::vector<TokenId>{9});
  context->flush().get();
  BOOST_TEST_REQUIRE(positions.size() == 31U);
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < 30; ++i) {
    BOOST_TEST(positions[i] == i);
    numbers.push_back(Toy::number_of(ids[i]));
    BOOST_TEST(rows[i] == Toy::logits(numbers));
  }
  BOOST_TEST(positions[30] == 40U);
}

BOOST_AUTO_TEST_CASE(requests_that_can_never_be_served_are_refused_with_numbers) {
  const auto engine = open_engine();
  const auto context = engine->new_context();
  const auto refused = [&](const auto& request, const std::string& part) {
    BOOST_CHECK_EXCEPTION(request(), RequestError,
                          [&](const RequestError& error) { return says(error, part); });
  };
  const auto append = [&](std::vector<TokenId> ids) { context->append(ids); };
  refused([&] { append({5, 64}); }, "64");
  refused([&] { append({-1}); }, "-1");
  refused([&] { append({Toy::kAudio}); }, "soft token");
  refused([&] { append(std::vector<TokenId>(8193, 5)); }, "8192");
  refused([&] { context->append(AudioPatches{.samples = std::vector<float>(641)}); }, "641");
  refused([&] { context->append(toy_picture(0)); }, "empty");
  refused([&] { context->append(toy_picture(41)); }, "40");
  VisionPatches large = toy_picture(39);
  large.rows = 39;
  refused([&] { context->append(large); }, "1521");
  VisionPatches torn = toy_picture(3);
  torn.pixels.pop_back();
  refused([&] { context->append(torn); }, "20735");
  AudioPatches broken = toy_audio(1);
  broken.samples[3] = std::numeric_limits<float>::infinity();
  refused([&] { context->append(broken); }, "sample 3");
  refused([&] { context->truncate(1); }, "1");
  refused([&] { context->generate(tokens(0)); }, "0 tokens");
  append({5, 6, 7});
  refused([&] { context->generate(tokens(8190)); }, "8190");
  const auto sampled = [&](Sampling sampling) {
    GenerateOptions options = tokens(1);
    options.sampling = sampling;
    return context->generate(options);
  };
  refused([&] { sampled({.greedy = false, .temperature = 0.0}); }, "temperature");
  refused([&] { sampled({.greedy = false, .top_k = -1}); }, "top_k");
  refused([&] { sampled({.greedy = false, .top_p = 0.0}); }, "top_p");
  refused([&] { sampled({.greedy = false, .top_p = std::nan("")}); }, "top_p");
  context->append(toy_picture(4));
  refused([&] { context->truncate(5); }, "3 to 6");
  context->truncate(3);
  BOOST_TEST(context->length() == 3U);
  BOOST_CHECK_THROW(engine->new_context()->generate(tokens(1)).get(), RequestError);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_cannot_hear_or_see_refuses_media) {
  // The toy engine has both; its config without them stands for such a checkpoint.
  const auto engine = open_engine();
  auto& config = const_cast<ModelConfig&>(engine->config());
  config.audio.reset();
  config.vision.reset();
  const auto context = engine->new_context();
  BOOST_CHECK_EXCEPTION(context->append(toy_audio(1)), RequestError,
                        [](const RequestError& error) { return says(error, "hear"); });
  BOOST_CHECK_EXCEPTION(context->append(toy_picture(1)), RequestError,
                        [](const RequestError& error) { return says(error, "see"); });
}

BOOST_AUTO_TEST_CASE(destroying_a_context_cancels_what_is_not_done) {
  Gate gate;
  const auto engine = open_engine({.before_step = gate.wait()});
  auto context = engine->new_context();
  context->append(toy_prompt(10, 1));
  auto running = context->generate(tokens(1000));
  auto queued = context->generate(tokens(5));
  auto flushed = context->flush();
  context.reset();
  gate.open();
  BOOST_TEST((running.get().stop == StopReason::kCancelled));
  const Generation never = queued.get();
  BOOST_TEST((never.stop == StopReason::kCancelled));
  BOOST_TEST(never.tokens.empty());
  BOOST_CHECK_THROW(flushed.get(), RequestError);
}

BOOST_AUTO_TEST_CASE(an_engine_may_die_inside_its_own_callback) {
  auto engine = open_engine();
  std::promise<void> done;
  std::shared_ptr<Context> context = engine->new_context();
  context->append(toy_prompt(10, 1));
  Context& borrowed = *context;
  borrowed.generate(tokens(5), [held = std::move(context), engine = std::move(engine), &done](
                                   Generation, const std::exception_ptr&) mutable {
    held.reset();
    engine.reset();
    done.set_value();
  });
  done.get_future().get();
}

BOOST_AUTO_TEST_CASE(a_long_prompt_does_not_starve_a_decode) {
  Gate gate;
  const auto engine = open_engine({.step_rows_max = 16, .before_step = gate.wait()});
  Order order;
  const auto reader = engine->new_context();
  reader->append(toy_prompt(4000, 1));
  reader->generate(tokens(1), order.note("reader"));
  const auto talker = engine->new_context();
  talker->append(long_winded_prompt(10, 50));
  talker->generate(tokens(50), order.note("talker"));
  gate.open();
  reader->flush().get();
  talker->flush().get();
  BOOST_TEST(order.names() == std::vector<std::string>({"talker", "reader"}));
}

BOOST_AUTO_TEST_CASE(decodes_do_not_starve_a_prompt) {
  Gate gate;
  const auto engine = open_engine({.step_rows_max = 4, .before_step = gate.wait()});
  Order order;
  std::vector<std::unique_ptr<Context>> contexts;
  for (std::uint32_t i = 0; i < 6; ++i) {
    contexts.push_back(engine->new_context());
    contexts.back()->append(long_winded_prompt(5, 300, 1000 * i));
    contexts.back()->generate(tokens(300), order.note("talker"));
  }
  contexts.push_back(engine->new_context());
  contexts.back()->append(toy_prompt(20, 1));
  contexts.back()->generate(tokens(1), order.note("reader"));
  gate.open();
  for (const auto& context : contexts) context->flush().get();
  BOOST_TEST(order.names().size() == 7U);
  BOOST_TEST(order.names().front() == "reader");
}

BOOST_AUTO_TEST_CASE(who_is_due_first_is_served_first) {
  Gate gate;
  const auto engine = open_engine({.step_rows_max = 4, .before_step = gate.wait()});
  const auto now = std::chrono::steady_clock::now();
  Order order;
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::string> expected;
  for (int i = 0; i < 12; ++i) {
    const int due = (i * 7 + 6) % 12;
    contexts.push_back(engine->new_context());
    contexts.back()->append(long_winded_prompt(5, 20, static_cast<std::uint32_t>(1000 * i)));
    GenerateOptions options = tokens(20);
    options.deadline = now + std::chrono::seconds(due);
    contexts.back()->generate(options, order.note(std::string(1, static_cast<char>('a' + due))));
    expected.emplace_back(1, static_cast<char>('a' + i));
  }
  gate.open();
  for (const auto& context : contexts) context->flush().get();
  // Up to four are served together, and the first step may have begun before all had asked.
  const std::vector<std::string> names = order.names();
  BOOST_TEST_REQUIRE(names.size() == 12U);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto place = std::find(expected.begin(), expected.end(), names[i]) - expected.begin();
    BOOST_TEST(std::abs(place - static_cast<std::ptrdiff_t>(i)) <= 4);
  }
}
