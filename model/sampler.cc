#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

// A number in [0, 1) that depends on seed and draw only (SplitMix64, Steele et al. 2014).
double uniform(std::uint64_t seed, std::uint64_t draw) {
  std::uint64_t z = seed + (draw + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

}  // namespace

GreedyPick pick_greedy(std::span<const float> logits, std::span<const TokenId> suppressed) {
  GreedyPick pick;
  float nan_if_not_finite = 0.0F;  // x * 0 is 0 for finite x and NaN otherwise
  for (const float logit : logits) nan_if_not_finite += logit * 0.0F;
  pick.finite = nan_if_not_finite == 0.0F;
  float best = -std::numeric_limits<float>::infinity();
  std::size_t begin = 0;
  auto scan = [&](std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      if (logits[i] > best) {
        best = logits[i];
        pick.token = static_cast<TokenId>(i);
      }
    }
  };
  for (const TokenId id : suppressed) {
    const auto end = static_cast<std::size_t>(id);
    if (end >= logits.size()) break;
    scan(end);
    begin = end + 1;
  }
  scan(logits.size());
  return pick;
}

Sampler::Sampler(const Sampling& sampling, std::vector<TokenId> suppressed)
    : sampling_(sampling), suppressed_(std::move(suppressed)) {
  check(std::is_sorted(suppressed_.begin(), suppressed_.end()), "suppressed ids are ascending");
}

std::span<const Sampler::Candidate> Sampler::candidates(std::span<const float> logits) {
  candidates_.clear();
  auto skip = suppressed_.begin();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    while (skip != suppressed_.end() && *skip < id) ++skip;
    if (skip != suppressed_.end() && *skip == id) continue;
    candidates_.push_back({.token = id, .probability = double{logits[i]} / sampling_.temperature});
  }
  check(!candidates_.empty(), "a vocabulary has ids that are not suppressed");
  const auto higher = [](const Candidate& a, const Candidate& b) {
    return a.probability > b.probability || (a.probability == b.probability && a.token < b.token);
  };
  const auto top_k = static_cast<std::size_t>(sampling_.top_k);
  if (top_k > 0 && top_k < candidates_.size()) {
    // As in transformers, what equals the k-th largest stays.
    std::nth_element(candidates_.begin(),
                     candidates_.begin() + static_cast<std::ptrdiff_t>(top_k) - 1,
                     candidates_.end(), higher);
    const double least = candidates_[top_k - 1].probability;
    std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < least; });
  }
  std::sort(candidates_.begin(), candidates_.end(), higher);

  const double largest = candidates_.front().probability;
  double sum = 0.0;
  for (Candidate& c : candidates_) sum += c.probability = std::exp(c.probability - largest);
  for (Candidate& c : candidates_) c.probability /= sum;
  if (sampling_.top_p < 1.0) {
    // The smallest set of the most likely whose sum reaches top_p, at least one.
    double reached = 0.0;
    std::size_t count = 0;
    while (count < candidates_.size() && (count == 0 || reached < sampling_.top_p)) {
      reached += candidates_[count++].probability;
    }
    candidates_.resize(count);
    for (Candidate& c : candidates_) c.probability /= reached;
  }
  return candidates_;
}

TokenId Sampler::pick(std::span<const float> logits, std::size_t draw) {
  if (sampling_.greedy) return pick_greedy(logits, suppressed_).token;
  candidates(logits);
  const double u = uniform(sampling_.seed, draw);
  double reached = 0.0;
  for (const Candidate& c : candidates_) {
    reached += c.probability;
    if (u < reached) return c.token;
  }
  return candidates_.back().token;  // the sum of probabilities fell short of u by rounding
}

}  // namespace captiond
