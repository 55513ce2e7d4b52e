#include "model/sampler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

// 64 bits that depend on seed and index only (SplitMix64, Steele et al. 2014).
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::uint64_t sum_of(std::span<const Sampler::Candidate> candidates) {
  std::uint64_t sum = 0;
  for (const Sampler::Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
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

kernels::Draw draw_of(const Sampling& sampling, std::size_t index) {
  if (sampling.greedy) return {};
  kernels::Draw draw{.random = random_bits(sampling.seed, index)};
  if (sampling.top_p < 1.0) {
    draw.top_p = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(sampling.top_p * 0x1p64));
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  draw.top_k = static_cast<std::int32_t>(std::min(sampling.top_k, kMost));
  constexpr double kSteepest = std::numeric_limits<float>::max();
  draw.scale = static_cast<float>(std::min(std::numbers::log2e / sampling.temperature, kSteepest));
  return draw;
}

Sampler::Sampler(std::vector<TokenId> suppressed) : suppressed_(std::move(suppressed)) {
  check(std::is_sorted(suppressed_.begin(), suppressed_.end()), "suppressed ids are ascending");
}

void Sampler::keep_top_k(std::size_t top_k) {
  if (top_k == 0 || top_k >= candidates_.size()) return;
  sorted_.clear();
  for (const Candidate& candidate : candidates_) sorted_.push_back(candidate.logit);
  const auto least = sorted_.begin() + static_cast<std::ptrdiff_t>(top_k) - 1;
  std::nth_element(sorted_.begin(), least, sorted_.end(), std::greater<>());
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < *least; });
}

void Sampler::keep_top_p(std::uint64_t top_p) {
  if (top_p == 0) return;
  const std::uint64_t share = kernels::share_of_top_p(sum_of(candidates_), top_p);
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  });
  std::uint64_t reached = 0;
  std::size_t count = 0;
  while (count < candidates_.size() && reached < share) reached += candidates_[count++].weight;
  candidates_.resize(count);
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

std::span<const Sampler::Candidate> Sampler::candidates(std::span<const float> logits,
                                                        const kernels::Draw& draw) {
  candidates_.clear();
  auto skip = suppressed_.begin();
  float largest = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    while (skip != suppressed_.end() && *skip < id) ++skip;
    if (skip != suppressed_.end() && *skip == id) continue;
    candidates_.push_back({.token = id, .logit = logits[i]});
    largest = std::max(largest, logits[i]);
  }
  check(!candidates_.empty(), "a vocabulary has ids that are not suppressed");
  keep_top_k(static_cast<std::size_t>(draw.top_k));
  for (Candidate& c : candidates_)
    c.weight = kernels::weight_of_logit(c.logit, largest, draw.scale);
  keep_top_p(draw.top_p);
  return candidates_;
}

TokenId Sampler::pick(std::span<const float> logits, const kernels::Draw& draw) {
  candidates(logits, draw);
  const std::uint64_t limit = kernels::upper_product(sum_of(candidates_), draw.random);
  std::uint64_t reached = 0;
  for (const Candidate& c : candidates_) {
    reached += c.weight;
    if (reached > limit) return c.token;
  }
  check(false, "a part of a sum is less than the sum");
  return candidates_.back().token;
}

}  // namespace captiond
