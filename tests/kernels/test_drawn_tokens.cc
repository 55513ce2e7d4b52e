// The kernel's choices beside those of Sampler, which has the same arithmetic in integers: equal,
// wherever a draw falls.
#define BOOST_TEST_MODULE drawn_tokens
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <span>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_runtime_api.h>

#include "model/kernels/matrix_products.h"
#include "model/kernels/sample.h"
#include "model/sampler.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond;
using namespace captiond::kernels;

namespace {

std::vector<GreedyChoice> choices_of(const std::vector<float>& logits, std::size_t vocabulary,
                                     const std::vector<TokenId>& suppressed,
                                     const std::vector<Draw>& draws) {
  BOOST_TEST_REQUIRE(logits.size() == vocabulary * draws.size());
  std::vector<std::uint32_t> mask((vocabulary + 31) / 32);
  for (const TokenId id : suppressed) {
    mask[static_cast<std::size_t>(id) / 32] |= 1U << (static_cast<unsigned>(id) % 32);
  }
  const DeviceArray<float> device_logits(logits);
  const DeviceArray<std::uint32_t> device_mask(mask);
  const DeviceArray<Draw> device_draws(draws);
  const DeviceArray<GreedyChoice> choices(std::vector<GreedyChoice>(draws.size(), {-7, -7}));
  const Sample work{.logits = device_logits.data(),
                    .vocabulary = static_cast<int>(vocabulary),
                    .suppressed = suppressed.empty() ? nullptr : device_mask.data(),
                    .draws = device_draws.data(),
                    .choices = choices.data()};
  require(sample(work, static_cast<int>(draws.size()), nullptr));
  return choices.download();
}

// Of `draws` rows, that they are chosen as Sampler chooses them, twice.
void check_choices(const std::vector<float>& logits, std::size_t vocabulary,
                   const std::vector<TokenId>& suppressed, const std::vector<Draw>& draws) {
  Sampler sampler(suppressed);
  std::vector<TokenId> expected;
  for (std::size_t row = 0; row < draws.size(); ++row) {
    expected.push_back(
        sampler.pick(std::span(logits).subspan(row * vocabulary, vocabulary), draws[row]));
  }
  for (int run = 0; run < 2; ++run) {
    const auto choices = choices_of(logits, vocabulary, suppressed, draws);
    for (std::size_t row = 0; row < draws.size(); ++row) {
      BOOST_TEST(choices[row].finite == 1);
      BOOST_TEST(choices[row].token == expected[row],
                 "row " << row << " of " << draws.size() << ", vocabulary " << vocabulary
                        << ", top_k " << draws[row].top_k << ", top_p " << draws[row].top_p);
    }
  }
}

// Logits as a head gives them, or many that are equal: rounded to `step`, 0: not.
std::vector<float> random_logits(std::size_t count, unsigned seed, float step) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  std::vector<float> logits(count);
  for (float& logit : logits) {
    logit = 30.0F * std::tanh(normal(generator) / 30.0F);
    if (step > 0.0F) logit = std::round(logit / step) * step;  // zeros of both signs
  }
  return logits;
}

// One of each kind, with seeds of their own.
std::vector<Draw> many_draws(std::size_t seeds) {
  std::vector<Draw> draws = {Draw{}};
  for (const double temperature : {0.1, 1.0, 5.0, 50.0}) {
    for (const std::int64_t top_k : {0, 1, 2, 64}) {
      for (const double top_p : {0.1, 0.5, 0.95, 1.0}) {
        for (std::size_t seed = 0; seed < seeds; ++seed) {
          draws.push_back(draw_of({.greedy = false,
                                   .temperature = temperature,
                                   .top_k = top_k,
                                   .top_p = top_p,
                                   .seed = seed},
                                  draws.size()));
        }
      }
    }
  }
  return draws;
}

void check_vocabulary(std::size_t vocabulary, std::size_t seeds, float step,
                      const std::vector<TokenId>& suppressed) {
  const std::vector<Draw> draws = many_draws(seeds);
  const auto seed = static_cast<unsigned>(vocabulary);
  check_choices(random_logits(vocabulary * draws.size(), seed, step), vocabulary, suppressed,
                draws);
}

}  // namespace

BOOST_AUTO_TEST_CASE(small_vocabularies_are_drawn_as_the_host_draws_them) {
  for (const std::size_t vocabulary : {1U, 2U, 5U, 31U, 33U, 300U}) {
    for (const float step : {0.0F, 2.0F}) check_vocabulary(vocabulary, 3, step, {});
  }
}

BOOST_AUTO_TEST_CASE(larger_vocabularies_are_drawn_as_the_host_draws_them) {
  for (const std::size_t vocabulary : {1024U, 5003U, 33000U}) {
    for (const float step : {0.0F, 0.5F}) check_vocabulary(vocabulary, 2, step, {});
  }
}

BOOST_AUTO_TEST_CASE(the_vocabulary_of_the_12b_is_drawn_as_the_host_draws_it) {
  for (const float step : {0.0F, 0.25F}) {
    check_vocabulary(262144, 1, step, {0, 1, 31, 32, 258882, 258883, 262143});
  }
}

BOOST_AUTO_TEST_CASE(suppressed_ids_are_never_drawn) {
  for (const std::size_t vocabulary : {5U, 64U, 5003U}) {
    std::vector<TokenId> suppressed;
    for (std::size_t id = 0; id < vocabulary; ++id) {
      if (id % 5 != 2) suppressed.push_back(static_cast<TokenId>(id));
    }
    check_vocabulary(vocabulary, 2, 0.0F, suppressed);
    check_vocabulary(vocabulary, 2, 1.0F, suppressed);
  }
}

// As many as the kernel has threads, and more.
BOOST_AUTO_TEST_CASE(a_large_top_k_is_drawn_as_the_host_draws_it) {
  constexpr std::size_t kVocabulary = 5000;
  std::vector<Draw> draws;
  for (const std::int64_t top_k : {1023, 1024, 1025, 4000, 4999, 5000, 6000}) {
    for (const double top_p : {0.97, 1.0}) {
      draws.push_back(draw_of(
          {.greedy = false, .temperature = 30.0, .top_k = top_k, .top_p = top_p}, draws.size()));
    }
  }
  std::vector<TokenId> every_other;
  for (TokenId id = 0; id < 4600; id += 2) every_other.push_back(id);
  for (const float step : {0.0F, 0.5F}) {
    const auto logits = random_logits(kVocabulary * draws.size(), 9, step);
    check_choices(logits, kVocabulary, {}, draws);
    check_choices(logits, kVocabulary, every_other, draws);
  }
}

// Every id in turn at the edge: the draw runs through all that stay.
BOOST_AUTO_TEST_CASE(of_equal_logits_at_the_edge_the_lower_ids_stay) {
  constexpr std::size_t kVocabulary = 5000, kRows = 400;
  const std::vector<float> logits(kVocabulary * kRows, 1.5F);
  std::vector<Draw> draws;
  for (std::size_t row = 0; row < kRows; ++row) {
    draws.push_back({.random = row * (~std::uint64_t{0} / kRows),
                     .top_p = std::uint64_t{1} << 58,  // one in 64
                     .top_k = 0,
                     .scale = 1.0F});
  }
  check_choices(logits, kVocabulary, {3}, draws);
  std::set<int> drawn;
  for (const auto& choice : choices_of(logits, kVocabulary, {3}, draws)) drawn.insert(choice.token);
  BOOST_TEST(*drawn.begin() == 0);
  BOOST_TEST(!drawn.contains(3));
  BOOST_TEST(*drawn.rbegin() == 79, "the 79th of 4999 reaches a 64th, and one is suppressed");
}

BOOST_AUTO_TEST_CASE(extreme_logits_and_scales_are_drawn_as_the_host_draws_them) {
  constexpr float kMost = std::numeric_limits<float>::max();
  const std::vector<float> kinds = {-kMost, -1.0F, -1e-42F, -0.0F, 0.0F, 1e-42F, 1.0F, kMost};
  constexpr std::size_t kVocabulary = 700;
  std::vector<Draw> draws;
  std::vector<float> logits;
  std::mt19937 generator(5);
  for (const float scale : {0.0F, 1e-38F, 1.0F, kMost}) {
    for (const int top_k : {0, 5, 400}) {
      for (const std::uint64_t top_p : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
        for (const std::uint64_t random : {std::uint64_t{0}, ~std::uint64_t{0}}) {
          draws.push_back({.random = random, .top_p = top_p, .top_k = top_k, .scale = scale});
          const std::size_t of = draws.size() % 2 == 0 ? kinds.size() : kinds.size() - 1;
          for (std::size_t id = 0; id < kVocabulary; ++id) {
            logits.push_back(kinds[generator() % of]);
          }
        }
      }
    }
  }
  check_choices(logits, kVocabulary, {}, draws);
}

BOOST_AUTO_TEST_CASE(a_row_whose_logits_are_not_finite_says_so_and_no_other) {
  constexpr std::size_t kVocabulary = 5003, kRows = 9;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto logits = random_logits(kVocabulary * kRows, 3, 0.0F);
  std::vector<Draw> draws;
  for (std::size_t row = 0; row < kRows; ++row) {
    draws.push_back(draw_of({.greedy = row % 3 == 0, .top_k = 40, .top_p = 0.9}, row));
  }
  const std::vector<TokenId> suppressed = {11, 4000};
  const auto before = choices_of(logits, kVocabulary, suppressed, draws);
  for (const float rubbish : {std::nanf(""), kInfinity, -kInfinity}) {
    for (const std::size_t at : {0U, 11U, 4000U, 5002U}) {
      auto bad = logits;
      bad[5 * kVocabulary + at] = rubbish;
      const auto after = choices_of(bad, kVocabulary, suppressed, draws);
      for (std::size_t row = 0; row < kRows; ++row) {
        BOOST_TEST(before[row].finite == 1);
        BOOST_TEST(after[row].finite == (row == 5 ? 0 : 1));
        if (row != 5) BOOST_TEST(after[row].token == before[row].token);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_with_nothing_to_draw_has_no_token) {
  const auto choices = choices_of({1.0F, 2.0F, 3.0F}, 3, {0, 1, 2}, {Draw{}});
  BOOST_TEST(choices.front().finite == 0);
}

BOOST_AUTO_TEST_CASE(a_bad_shape_is_refused) {
  const DeviceArray<float> logits(8);
  const DeviceArray<Draw> draws(1);
  const DeviceArray<GreedyChoice> choices(1);
  const Sample good{
      .logits = logits.data(), .vocabulary = 8, .draws = draws.data(), .choices = choices.data()};
  const auto refused = [](const Sample& work, int rows) {
    return sample(work, rows, nullptr) == cudaErrorInvalidValue;
  };
  BOOST_TEST(!refused(good, 1));
  BOOST_TEST(refused(good, 0));
  Sample bad = good;
  bad.vocabulary = 0;
  BOOST_TEST(refused(bad, 1));
  bad.vocabulary = (1 << 23) + 1;
  BOOST_TEST(refused(bad, 1));
  bad = good;
  bad.logits = nullptr;
  BOOST_TEST(refused(bad, 1));
  bad = good;
  bad.draws = nullptr;
  BOOST_TEST(refused(bad, 1));
}
