#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/generation.h"
#include "model/token.h"

namespace captiond {

// The first largest logit, as torch.argmax picks it, among ids that are not in `suppressed`
// (ascending), and whether all logits are finite.
struct GreedyPick {
  TokenId token = 0;
  bool finite = true;
};
GreedyPick pick_greedy(std::span<const float> logits, std::span<const TokenId> suppressed);

// Chooses tokens from logits as transformers' generate does: suppressed ids, temperature, top-k,
// top-p in this order, then one draw. The n-th draw depends on the seed and n alone, so that a
// draft that was verified in one pass and plain decoding give the same tokens. One owner.
class Sampler {
 public:
  // `suppressed` ascending.
  Sampler(const Sampling& sampling, std::vector<TokenId> suppressed);

  // Logits must be finite. `draw` counts the tokens of this generation from 0.
  TokenId pick(std::span<const float> logits, std::size_t draw);

  // What pick() draws from: (token, probability) in order of falling probability, sum 1.
  struct Candidate {
    TokenId token = 0;
    double probability = 0.0;
  };
  std::span<const Candidate> candidates(std::span<const float> logits);

 private:
  const Sampling sampling_;
  const std::vector<TokenId> suppressed_;
  std::vector<Candidate> candidates_;
};

}  // namespace captiond
