#define BOOST_TEST_MODULE sampler

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/sampler.h"

using namespace captiond;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::map<TokenId, double> probabilities(Sampler& sampler, const std::vector<float>& logits) {
  std::map<TokenId, double> out;
  for (const auto& candidate : sampler.candidates(logits)) {
    out[candidate.token] = candidate.probability;
  }
  return out;
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-12; }

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

BOOST_AUTO_TEST_CASE(candidates_are_the_softmax) {
  Sampler sampler({.greedy = false}, {});
  const auto p = probabilities(sampler, {0.0F, 1.0F, 2.0F});
  const double sum = 1 + std::exp(1) + std::exp(2);
  BOOST_TEST(near(p.at(0), 1 / sum));
  BOOST_TEST(near(p.at(1), std::exp(1) / sum));
  BOOST_TEST(near(p.at(2), std::exp(2) / sum));
}

BOOST_AUTO_TEST_CASE(temperature_divides_the_logits) {
  Sampler sampler({.greedy = false, .temperature = 0.5}, {});
  const auto p = probabilities(sampler, {0.0F, 1.0F});
  BOOST_TEST(near(p.at(1), std::exp(2) / (1 + std::exp(2))));
}

BOOST_AUTO_TEST_CASE(suppressed_ids_have_no_probability) {
  Sampler sampler({.greedy = false}, {0, 2});
  const auto p = probabilities(sampler, {9.0F, 1.0F, 9.0F, 1.0F});
  BOOST_TEST(p.size() == 2U);
  BOOST_TEST(near(p.at(1), 0.5));
  BOOST_TEST(near(p.at(3), 0.5));
}

BOOST_AUTO_TEST_CASE(top_k_keeps_the_k_largest_and_what_equals_the_last) {
  Sampler sampler({.greedy = false, .top_k = 2}, {});
  BOOST_TEST(probabilities(sampler, {1.0F, 3.0F, 2.0F, 0.0F}).size() == 2U);
  const auto tied = probabilities(sampler, {1.0F, 3.0F, 1.0F, 0.0F});
  BOOST_TEST(tied.size() == 3U);
  BOOST_TEST(!tied.contains(3));
  Sampler wide({.greedy = false, .top_k = 50}, {});
  BOOST_TEST(probabilities(wide, {1.0F, 3.0F}).size() == 2U);
}

BOOST_AUTO_TEST_CASE(top_p_keeps_the_fewest_that_reach_it) {
  const std::vector<float> logits = logarithms({0.1, 0.5, 0.15, 0.25});
  const auto kept = [&](double top_p) {
    Sampler sampler({.greedy = false, .top_p = top_p}, {});
    return probabilities(sampler, logits);
  };
  BOOST_TEST(kept(0.01).size() == 1U);
  BOOST_TEST(kept(0.49).size() == 1U);
  BOOST_TEST(kept(0.6).size() == 2U);
  BOOST_TEST(kept(0.8).size() == 3U);
  BOOST_TEST(kept(0.95).size() == 4U);
  BOOST_TEST(std::abs(kept(0.6).at(1) - 0.5 / 0.75) <= 1e-6, "what is left sums to 1");
}

BOOST_AUTO_TEST_CASE(top_p_counts_what_top_k_has_left) {
  // After top-k of 2 the first holds 2/3: 0.6 is reached by it alone.
  Sampler sampler({.greedy = false, .top_k = 2, .top_p = 0.6}, {});
  BOOST_TEST(probabilities(sampler, logarithms({0.25, 0.5, 0.2, 0.05})).size() == 1U);
}

BOOST_AUTO_TEST_CASE(draws_follow_the_probabilities) {
  const std::vector<double> p = {0.1, 0.6, 0.3};
  const std::vector<float> logits = logarithms(p);
  Sampler sampler({.greedy = false, .seed = 3}, {});
  std::vector<double> counts(3);
  constexpr std::size_t kDraws = 30000;
  for (std::size_t i = 0; i < kDraws; ++i) {
    counts[static_cast<std::size_t>(sampler.pick(logits, i))] += 1.0;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    // Five standard deviations of the binomial distribution.
    const double deviation = std::sqrt(p[i] * (1 - p[i]) / kDraws);
    BOOST_TEST(std::abs(counts[i] / kDraws - p[i]) <= 5 * deviation);
  }
}

BOOST_AUTO_TEST_CASE(a_draw_depends_on_seed_and_number_alone) {
  const std::vector<float> logits(50, 0.0F);
  Sampler first({.greedy = false, .seed = 11}, {});
  Sampler again({.greedy = false, .seed = 11}, {});
  Sampler other({.greedy = false, .seed = 12}, {});
  std::vector<TokenId> a;
  std::vector<TokenId> b;
  std::vector<TokenId> c;
  for (std::size_t i = 0; i < 30; ++i) a.push_back(first.pick(logits, i));
  for (std::size_t i = 30; i > 0; --i) b.insert(b.begin(), again.pick(logits, i - 1));
  for (std::size_t i = 0; i < 30; ++i) c.push_back(other.pick(logits, i));
  BOOST_TEST(a == b);
  BOOST_TEST(a != c);
}
