// The engine on the CPU beside transformers, on the checkpoints of make_parity_checkpoints.py.
#define BOOST_TEST_MODULE engine_parity

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "model/engine.h"
#include "tests/model/parity_case.h"

using namespace captiond;
using namespace captiond::test;

namespace {

// Of the largest absolute logit, in float32: other orders of summation than transformers' own.
constexpr double kFloat32Limit = 1e-4;

std::shared_ptr<Engine> open(const std::filesystem::path& checkpoint, EngineOptions options = {}) {
  options.model = checkpoint;
  options.kv_positions = 8192;
  options.threads = 1;  // so small that a second thread only waits
  return Engine::open(options);
}

std::vector<float> logits_of(Engine& engine, const ParityCase& prompt) {
  LogitsRecord record;
  const std::unique_ptr<Context> context = engine.new_context(record.sink());
  append_all(*context, prompt);
  context->flush().get();
  BOOST_TEST(context->length() == prompt.positions());
  BOOST_TEST_REQUIRE(record.positions.size() == prompt.positions());
  for (std::size_t i = 0; i < record.positions.size(); ++i) {
    BOOST_TEST_REQUIRE(record.positions[i] == i);
  }
  return record.values;
}

}  // namespace

BOOST_AUTO_TEST_CASE(float32_logits_equal_those_of_transformers_at_every_position) {
  for (const auto& checkpoint : parity_checkpoints()) {
    const auto engine = open(checkpoint);
    for (const ParityCase& prompt : parity_cases(checkpoint)) {
      BOOST_TEST_CONTEXT(checkpoint.filename() << ", " << prompt.name) {
        const double error = relative_difference(logits_of(*engine, prompt), prompt.logits);
        BOOST_TEST_MESSAGE("relative error " << error);
        BOOST_TEST(error <= kFloat32Limit);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_full_causal_vision_mask_equals_create_masks_for_vision_model) {
  double apart = 0.0;
  for (const auto& checkpoint : parity_checkpoints()) {
    const auto engine = open(checkpoint, {.model = {}, .vision_mask = VisionMask::kFullCausal});
    for (const ParityCase& prompt : parity_cases(checkpoint)) {
      BOOST_TEST_CONTEXT(checkpoint.filename() << ", " << prompt.name) {
        const double error =
            relative_difference(logits_of(*engine, prompt), prompt.logits_full_causal);
        BOOST_TEST(error <= kFloat32Limit);
        apart = std::max(apart, relative_difference(prompt.logits_full_causal, prompt.logits));
      }
    }
  }
  BOOST_TEST(apart > 100 * kFloat32Limit, "the two masks differ where pictures are");
}

BOOST_AUTO_TEST_CASE(sixty_four_greedy_tokens_equal_those_of_transformers) {
  for (const auto& checkpoint : parity_checkpoints()) {
    const auto engine = open(checkpoint);
    for (const ParityCase& prompt : parity_cases(checkpoint)) {
      BOOST_TEST_CONTEXT(checkpoint.filename() << ", " << prompt.name) {
        const std::unique_ptr<Context> context = engine->new_context();
        append_all(*context, prompt);
        GenerateOptions options;
        options.max_tokens = prompt.greedy.size();
        const Generation generation = context->generate(options).get();
        BOOST_TEST(generation.tokens == prompt.greedy, boost::test_tools::per_element());
        BOOST_TEST(context->length() == prompt.positions() + prompt.greedy.size());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(bfloat16_logits_are_as_near_as_two_attentions_of_transformers_are) {
  for (const auto& checkpoint : parity_checkpoints()) {
    const auto engine =
        open(checkpoint, {.model = {}, .dtype = Dtype::kBfloat16, .step_rows_max = 2048});
    for (const ParityCase& prompt : parity_cases(checkpoint)) {
      BOOST_TEST_CONTEXT(checkpoint.filename() << ", " << prompt.name) {
        const double difference =
            largest_difference(logits_of(*engine, prompt), prompt.logits_bfloat16);
        BOOST_TEST_MESSAGE("difference " << difference << ", gap " << prompt.bfloat16_gap);
        BOOST_TEST(difference <= prompt.bfloat16_gap);
      }
    }
  }
}
