// What a context promises, on real checkpoints: test_context has the same on a toy model, with all
// corners; here the arithmetic is the real one.
#define BOOST_TEST_MODULE engine

#include <algorithm>
#include <future>
#include <string>

#include <boost/test/unit_test.hpp>

#include "model/engine.h"
#include "tests/model/parity_case.h"

using namespace captiond;
using namespace captiond::test;

namespace {

// Of the largest absolute logit: the same sums in steps of another shape.
constexpr double kLimit = 1e-5;

std::shared_ptr<Engine> open(const std::filesystem::path& checkpoint, EngineOptions options = {}) {
  options.model = checkpoint;
  options.kv_positions = 8192;
  options.threads = 1;
  return Engine::open(options);
}

std::filesystem::path checkpoint(const std::string& name) {
  for (const auto& folder : parity_checkpoints()) {
    if (folder.filename() == name) return folder;
  }
  throw std::runtime_error("no checkpoint " + name);
}

GenerateOptions tokens(std::size_t count) {
  GenerateOptions options;
  options.max_tokens = count;
  return options;
}

// Every part in pieces of `size` positions, pictures whole.
void append_in_pieces(Context& context, const ParityCase& prompt, std::size_t size) {
  for (const ParityCase::Part& part : prompt.parts) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&part)) {
      for (std::size_t i = 0; i < ids->size(); i += size) {
        context.append(std::span(*ids).subspan(i, std::min(size, ids->size() - i)));
      }
    } else if (const auto* audio = std::get_if<AudioPatches>(&part)) {
      constexpr auto kSamples = static_cast<std::ptrdiff_t>(AudioPatches::kSamplesPerPatch);
      for (std::size_t i = 0; i < audio->count(); i += size) {
        const auto begin = audio->samples.begin() + static_cast<std::ptrdiff_t>(i) * kSamples;
        const auto count = static_cast<std::ptrdiff_t>(std::min(size, audio->count() - i));
        context.append(AudioPatches{.samples = {begin, begin + count * kSamples}});
      }
    } else {
      context.append(std::get<VisionPatches>(part));
    }
  }
}

std::vector<float> logits_in_pieces(Engine& engine, const ParityCase& prompt, std::size_t size,
                                    bool wait) {
  LogitsRecord record;
  const auto context = engine.new_context(record.sink());
  if (wait) {
    // One step an append: nothing is joined by the scheduler.
    ParityCase one = prompt;
    for (const ParityCase::Part& part : prompt.parts) {
      one.parts = {part};
      append_in_pieces(*context, one, size);
      context->flush().get();
    }
  } else {
    append_in_pieces(*context, prompt, size);
  }
  context->flush().get();
  return record.values;
}

}  // namespace

BOOST_AUTO_TEST_CASE(cutting_a_prompt_changes_no_logits) {
  for (const auto& folder : parity_checkpoints()) {
    const auto whole = open(folder);
    const auto chunked = open(folder, {.model = {}, .step_rows_max = 7});
    for (const ParityCase& prompt : parity_cases(folder)) {
      if (prompt.positions() > 200) continue;
      BOOST_TEST_CONTEXT(folder.filename() << ", " << prompt.name) {
        const auto expected = logits_in_pieces(*whole, prompt, 10000, false);
        for (const std::size_t size : std::vector<std::size_t>{1, 5}) {
          const auto got = logits_in_pieces(*whole, prompt, size, true);
          BOOST_TEST(relative_difference(got, expected) <= kLimit);
        }
        const auto got = logits_in_pieces(*chunked, prompt, 10000, false);
        BOOST_TEST(relative_difference(got, expected) <= kLimit);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(other_contexts_in_the_step_change_no_logits) {
  for (const auto& folder : parity_checkpoints()) {
    const auto engine = open(folder, {.model = {}, .step_rows_max = 1024});
    const std::vector<ParityCase> prompts = parity_cases(folder);
    std::vector<LogitsRecord> records(prompts.size());
    std::vector<std::unique_ptr<Context>> contexts;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      contexts.push_back(engine->new_context(records[i].sink()));
      append_all(*contexts.back(), prompts[i]);
    }
    for (const auto& context : contexts) context->flush().get();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      BOOST_TEST_CONTEXT(folder.filename() << ", " << prompts[i].name) {
        const auto alone = logits_in_pieces(*engine, prompts[i], 10000, false);
        BOOST_TEST(relative_difference(records[i].values, alone) <= kLimit);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(contexts_that_decode_together_choose_what_they_choose_alone) {
  for (const auto& folder : parity_checkpoints()) {
    const auto engine = open(folder);
    const std::vector<ParityCase> prompts = parity_cases(folder);
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<std::future<Generation>> generations;
    for (const ParityCase& prompt : prompts) {
      contexts.push_back(engine->new_context());
      append_all(*contexts.back(), prompt);
      generations.push_back(contexts.back()->generate(tokens(prompt.greedy.size())));
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      BOOST_TEST_CONTEXT(folder.filename() << ", " << prompts[i].name) {
        BOOST_TEST(generations[i].get().tokens == prompts[i].greedy);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(drafts_right_and_wrong_give_the_greedy_tokens) {
  for (const auto& folder : parity_checkpoints()) {
    const auto engine = open(folder);
    for (const ParityCase& prompt : parity_cases(folder)) {
      BOOST_TEST_CONTEXT(folder.filename() << ", " << prompt.name) {
        const std::vector<TokenId>& right = prompt.greedy;
        std::vector<TokenId> half = right;
        for (std::size_t i = 30; i < half.size(); ++i) half[i] = (half[i] + 1) % 200 + 3;
        std::vector<TokenId> too_long = right;
        too_long.insert(too_long.end(), right.begin(), right.end());
        const auto parent = engine->new_context();
        append_all(*parent, prompt);
        const std::vector<std::pair<std::vector<TokenId>, std::size_t>> drafts = {
            {right, 64}, {half, 30}, {too_long, 64}, {std::vector<TokenId>(20, right[0] + 1), 0}};
        for (const auto& [draft, accepted] : drafts) {
          const auto context = parent->fork();
          GenerateOptions options = tokens(right.size());
          options.draft = draft;
          const Generation out = context->generate(options).get();
          BOOST_TEST(out.tokens == right);
          BOOST_TEST(out.draft_accepted == accepted);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(forks_and_truncates_equal_fresh_contexts) {
  for (const auto& folder : parity_checkpoints()) {
    const auto engine = open(folder);
    for (const ParityCase& prompt : parity_cases(folder)) {
      BOOST_TEST_CONTEXT(folder.filename() << ", " << prompt.name) {
        const auto parent = engine->new_context();
        append_all(*parent, prompt);
        const auto early = parent->fork();
        parent->append(std::vector<TokenId>(30, 7));
        parent->generate(tokens(9)).get();
        parent->truncate(prompt.positions());
        const auto late = parent->fork();
        BOOST_TEST(early->generate(tokens(64)).get().tokens == prompt.greedy);
        BOOST_TEST(late->generate(tokens(64)).get().tokens == prompt.greedy);
        BOOST_TEST(parent->generate(tokens(64)).get().tokens == prompt.greedy);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(forgetting_old_sliding_pages_changes_no_logits) {
  // A window of 8: pages are given back long before the end of 1,500 positions.
  const auto folder = checkpoint("full_first");
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 1500; ++i) ids.push_back(3 + i * 37 % 250);
  LogitsRecord forgetting;
  LogitsRecord at_once;
  const auto stepwise = open(folder, {.model = {}, .step_rows_max = 64});
  const auto whole = open(folder, {.model = {}, .step_rows_max = 2048});
  const auto small = stepwise->new_context(forgetting.sink());
  const auto large = whole->new_context(at_once.sink());
  small->append(ids);
  large->append(ids);
  small->flush().get();
  large->flush().get();
  BOOST_TEST(stepwise->statistics().kv_pages_used < 2 * 1500 / 16 - 40);
  BOOST_TEST(relative_difference(forgetting.values, at_once.values) <= kLimit);
  BOOST_TEST(small->generate(tokens(40)).get().tokens == large->generate(tokens(40)).get().tokens);
}

BOOST_AUTO_TEST_CASE(sampling_with_a_seed_repeats) {
  const auto engine = open(checkpoint("published_pattern"));
  const ParityCase prompt = parity_case(checkpoint("published_pattern"), "mixture");
  const auto sample = [&](std::uint64_t seed) {
    const auto context = engine->new_context();
    append_all(*context, prompt);
    GenerateOptions options = tokens(40);
    options.sampling = {
        .greedy = false, .temperature = 1.5, .top_k = 64, .top_p = 0.95, .seed = seed};
    return context->generate(options).get().tokens;
  };
  BOOST_TEST(sample(7) == sample(7));
  BOOST_TEST(sample(7) != sample(8));
}

BOOST_AUTO_TEST_CASE(the_cpu_scales_pictures_of_any_size) {
  const auto engine = open(checkpoint("full_first"), {.model = {}, .picture_pixels_max = 1});
  const Image image{.size = {31, 17}, .pixels = std::vector<std::uint8_t>(31 * 17 * 3, 200)};
  const VisionPatches patches = engine->patches(image.view(), 140);
  const VisionPatches want = vision_patches(image.view(), 140);
  BOOST_TEST(patches.columns == want.columns);
  BOOST_TEST(patches.pixels == want.pixels, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_engine_that_cannot_be_opened_says_why) {
  const auto refused = [](EngineOptions options, const std::string& part) {
    BOOST_CHECK_EXCEPTION(Engine::open(options), std::runtime_error,
                          [&](const std::runtime_error& error) {
                            return std::string(error.what()).find(part) != std::string::npos;
                          });
  };
  const auto folder = checkpoint("full_first");
  refused({.model = "/nonexistent"}, "/nonexistent");
  refused({.model = folder, .step_rows_max = 1}, "step_rows_max");
  refused({.model = folder, .step_rows_max = 64, .prompt_rows_max = 63}, "prompt_rows_max");
  refused({.model = folder, .kv_positions = 3}, "kv_positions");
  refused({.model = folder, .picture_pixels_max = 0}, "picture_pixels_max");
  refused({.model = folder, .threads = -2}, "threads");
  refused({.model = folder, .weights = WeightFormat::kInt8}, "cpu");
  refused({.model = folder, .kv = KvFormat::kFp8}, "cpu");
#ifndef CAPTIOND_CUDA
  refused({.model = folder, .device = Device::kCuda}, "cuda");
#endif
}
