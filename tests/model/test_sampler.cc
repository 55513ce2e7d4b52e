#define BOOST_TEST_MODULE sampler

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numbers>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/sampler.h"

using namespace captiond;
using namespace captiond::kernels;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// How likely a draw of `sampling` takes each id.
std::map<TokenId, double> probabilities(const Sampling& sampling, const std::vector<float>& logits,
                                        const std::vector<TokenId>& suppressed = {}) {
  Sampler sampler(suppressed);
  std::map<TokenId, double> out;
  double sum = 0.0;
  for (const auto& candidate : sampler.candidates(logits, draw_of(sampling, 0))) {
    sum += out[candidate.token] = static_cast<double>(candidate.weight);
  }
  for (auto& [token, probability] : out) probability /= sum;
  return out;
}

// float32 carries log2(e) / temperature and the product with it.
bool near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(a, b); }

std::vector<float> logarithms(const std::vector<double>& values) {
  std::vector<float> out;
  for (const double value : values) out.push_back(static_cast<float>(std::log(value)));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(greedy_takes_the_first_of_the_largest) {
  BOOST_TEST(pick_greedy(std::vector<float>{1, 3, 2, 3}, {}).token == 1);
  BOOST_TEST(pick_greedy(std::vector<float>{-5}, {}).token == 0);
  BOOST_TEST(pick_greedy(std::vector<float>{-2, -1, -1}, {}).token == 1);
}

BOOST_AUTO_TEST_CASE(greedy_never_takes_a_suppressed_id) {
  const std::vector<float> logits = {9, 5, 8, 7};
  BOOST_TEST(pick_greedy(logits, std::vector<TokenId>{0}).token == 2);
  BOOST_TEST(pick_greedy(logits, std::vector<TokenId>{0, 2}).token == 3);
  BOOST_TEST(pick_greedy(logits, std::vector<TokenId>{0, 2, 3, 70}).token == 1);
}

BOOST_AUTO_TEST_CASE(any_number_that_is_not_finite_is_noticed) {
  for (std::size_t at = 0; at < 70; ++at) {
    for (const float value : {std::nanf(""), kInfinity, -kInfinity}) {
      std::vector<float> logits(70, 1.0F);
      BOOST_TEST(pick_greedy(logits, {}).finite);
      logits[at] = value;
      BOOST_TEST(!pick_greedy(logits, {}).finite);
    }
  }
}

BOOST_AUTO_TEST_CASE(keys_order_logits_and_lead_back_to_them) {
  const std::vector<float> ascending = {-3e38F, -2.0F, -1e-40F, 0.0F, 1e-40F, 1.5F, 1.75F, 3e38F};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    BOOST_TEST(logit_of_key(key_of_logit(ascending[i])) == ascending[i]);
    if (i > 0) BOOST_TEST(key_of_logit(ascending[i]) > key_of_logit(ascending[i - 1]));
  }
  BOOST_TEST(key_of_logit(-0.0F) == key_of_logit(0.0F));
  BOOST_TEST(key_of_logit(-kInfinity) > 0U);
}

BOOST_AUTO_TEST_CASE(upper_products_equal_those_of_128_bits) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  static_assert(upper_product(kMost, kMost) == kMost - 1);
  static_assert(upper_product(kMost, 1) == 0);
  static_assert(upper_product(std::uint64_t{1} << 63, 2) == 1);
  static_assert(upper_product(0x123456789ABCDEFU, 0xFEDCBA9876543210U) == 0x121FA00AD77D742U);
  // Of 2^64 * 0.5 one part in two, rounded up.
  static_assert(share_of_top_p(7, std::uint64_t{1} << 63) == 4);
  static_assert(share_of_top_p(8, std::uint64_t{1} << 63) == 4);
  static_assert(share_of_top_p(8, 1) == 1);
}

BOOST_AUTO_TEST_CASE(weights_are_powers_of_e) {
  static_assert(weight_of_logit(3.0F, 3.0F, 1.0F) == std::uint64_t{1} << 40);
  for (int i = 0; i <= 200000; ++i) {
    const float logit = static_cast<float>(i) * -0.0001F;
    const double exact = std::exp2(40.0 + double{logit});
    const auto weight = static_cast<double>(weight_of_logit(logit, 0.0F, 1.0F));
    BOOST_TEST_REQUIRE(std::abs(weight - exact) <= 2e-8 * exact + 1.0, "at " << logit);
  }
  BOOST_TEST(weight_of_logit(-40.5F, 0.0F, 1.0F) == 0U);
  BOOST_TEST(weight_of_logit(-3e38F, 3e38F, 3e38F) == 0U, "neither an infinity");
  BOOST_TEST(weight_of_logit(-3e38F, 3e38F, 0.0F) == 0U, "nor what is no number");
}

BOOST_AUTO_TEST_CASE(candidates_are_the_softmax) {
  const auto p = probabilities({.greedy = false}, {0.0F, 1.0F, 2.0F});
  const double sum = 1 + std::exp(1) + std::exp(2);
  BOOST_TEST(near(p.at(0), 1 / sum));
  BOOST_TEST(near(p.at(1), std::exp(1) / sum));
  BOOST_TEST(near(p.at(2), std::exp(2) / sum));
}

BOOST_AUTO_TEST_CASE(temperature_divides_the_logits) {
  const auto p = probabilities({.greedy = false, .temperature = 0.5}, {0.0F, 1.0F});
  BOOST_TEST(near(p.at(1), std::exp(2) / (1 + std::exp(2))));
}

BOOST_AUTO_TEST_CASE(temperatures_without_measure_are_the_largest_or_all) {
  const std::vector<float> logits = {1.0F, 2.0F, 2.0F};
  const auto cold = probabilities({.greedy = false, .temperature = 1e-300}, logits);
  BOOST_TEST(cold.at(0) == 0.0);
  BOOST_TEST(cold.at(1) == 0.5);
  const auto hot = probabilities({.greedy = false, .temperature = 1e300}, logits);
  BOOST_TEST(near(hot.at(0), 1.0 / 3));
}

BOOST_AUTO_TEST_CASE(suppressed_ids_have_no_probability) {
  const auto p = probabilities({.greedy = false}, {9.0F, 1.0F, 9.0F, 1.0F}, {0, 2});
  BOOST_TEST(p.size() == 2U);
  BOOST_TEST(near(p.at(1), 0.5));
  BOOST_TEST(near(p.at(3), 0.5));
}

BOOST_AUTO_TEST_CASE(top_k_keeps_the_k_largest_and_what_equals_the_last) {
  const Sampling two{.greedy = false, .top_k = 2};
  BOOST_TEST(probabilities(two, {1.0F, 3.0F, 2.0F, 0.0F}).size() == 2U);
  const auto tied = probabilities(two, {1.0F, 3.0F, 1.0F, 0.0F});
  BOOST_TEST(tied.size() == 3U);
  BOOST_TEST(!tied.contains(3));
  BOOST_TEST(probabilities(two, {-0.0F, 3.0F, 0.0F, -1.0F}).size() == 3U, "zeros are equal");
  BOOST_TEST(probabilities({.greedy = false, .top_k = 50}, {1.0F, 3.0F}).size() == 2U);
}

BOOST_AUTO_TEST_CASE(top_p_keeps_the_fewest_that_reach_it) {
  const std::vector<float> logits = logarithms({0.1, 0.5, 0.15, 0.25});
  const auto kept = [&](double top_p) {
    return probabilities({.greedy = false, .top_p = top_p}, logits);
  };
  BOOST_TEST(kept(1e-300).size() == 1U);
  BOOST_TEST(kept(0.01).size() == 1U);
  BOOST_TEST(kept(0.49).size() == 1U);
  BOOST_TEST(kept(0.6).size() == 2U);
  BOOST_TEST(kept(0.8).size() == 3U);
  BOOST_TEST(kept(0.95).size() == 4U);
  BOOST_TEST(std::abs(kept(0.6).at(1) - 0.5 / 0.75) <= 1e-6, "what is left sums to 1");
}

BOOST_AUTO_TEST_CASE(of_equals_at_the_edge_of_top_p_the_lower_ids_stay) {
  const std::vector<float> logits = {0.0F, 1.0F, 0.0F, 2.0F, 0.0F, 0.0F};
  const double sum = std::exp(2) + std::exp(1) + 4;
  const auto p =
      probabilities({.greedy = false, .top_p = (std::exp(2) + std::exp(1) + 1.5) / sum}, logits);
  BOOST_TEST(p.size() == 4U);
  BOOST_TEST((p.contains(0) && p.contains(2) && !p.contains(4)));
  // Exactly reached is reached.
  BOOST_TEST(probabilities({.greedy = false, .top_p = 0.5}, {1.0F, 1.0F, 1.0F, 1.0F}).size() == 2U);
}

BOOST_AUTO_TEST_CASE(top_p_counts_what_top_k_has_left) {
  // After top-k of 2 the first holds 2/3: 0.6 is reached by it alone.
  const std::vector<float> logits = logarithms({0.25, 0.5, 0.2, 0.05});
  BOOST_TEST(probabilities({.greedy = false, .top_k = 2, .top_p = 0.6}, logits).size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_draw_goes_by_id) {
  // A quarter, a half and a quarter, the largest in the middle.
  const std::vector<float> logits = logarithms({1, 2, 1});
  Sampler sampler({});
  const auto picked = [&](double u) {
    return sampler.pick(logits, {.random = static_cast<std::uint64_t>(u * 0x1p64),
                                 .top_k = 0,
                                 .scale = std::numbers::log2e_v<float>});
  };
  BOOST_TEST(picked(0.0) == 0);
  BOOST_TEST(picked(0.2499) == 0);
  BOOST_TEST(picked(0.2501) == 1);
  BOOST_TEST(picked(0.7499) == 1);
  BOOST_TEST(picked(0.7501) == 2);
  BOOST_TEST(picked(0.9999999999) == 2);
}

BOOST_AUTO_TEST_CASE(a_draw_left_as_it_is_is_greedy) {
  Sampler sampler({1});
  BOOST_TEST(sampler.pick(std::vector<float>{1, 4, 3, 3}, Draw{}) == 2);
  BOOST_TEST(sampler.pick(std::vector<float>{1, 4, 3, 3}, draw_of({.seed = 5}, 9)) == 2);
}

BOOST_AUTO_TEST_CASE(draws_follow_the_probabilities) {
  const std::vector<double> p = {0.1, 0.6, 0.3};
  const std::vector<float> logits = logarithms(p);
  Sampler sampler({});
  std::vector<double> counts(3);
  constexpr std::size_t kDraws = 30000;
  for (std::size_t i = 0; i < kDraws; ++i) {
    counts[static_cast<std::size_t>(
        sampler.pick(logits, draw_of({.greedy = false, .seed = 3}, i)))] += 1.0;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    // Five standard deviations of the binomial distribution.
    const double deviation = std::sqrt(p[i] * (1 - p[i]) / kDraws);
    BOOST_TEST(std::abs(counts[i] / kDraws - p[i]) <= 5 * deviation);
  }
}

BOOST_AUTO_TEST_CASE(a_draw_depends_on_seed_and_number_alone) {
  const std::vector<float> logits(50, 0.0F);
  Sampler sampler({});
  const auto picked = [&](std::uint64_t seed, std::size_t index) {
    return sampler.pick(logits, draw_of({.greedy = false, .seed = seed}, index));
  };
  std::vector<TokenId> a;
  std::vector<TokenId> b;
  std::vector<TokenId> c;
  for (std::size_t i = 0; i < 30; ++i) a.push_back(picked(11, i));
  for (std::size_t i = 30; i > 0; --i) b.insert(b.begin(), picked(11, i - 1));
  for (std::size_t i = 0; i < 30; ++i) c.push_back(picked(12, i));
  BOOST_TEST(a == b);
  BOOST_TEST(a != c);
}
