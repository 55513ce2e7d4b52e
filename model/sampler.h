#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/generation.h"
#include "model/kernels/draw.h"
#include "model/token.h"

namespace captiond {

// The first largest logit, as torch.argmax picks it, among ids that are not in `suppressed`
// (ascending), and whether all logits are finite.
struct GreedyPick {
  TokenId token = 0;
  bool finite = true;
};
GreedyPick pick_greedy(std::span<const float> logits, std::span<const TokenId> suppressed);

// The draw of a generation's token `index`, counted from 0. Its random number depends on the seed
// and the index alone, so that a draft that was verified in one pass and plain decoding give the
// same tokens.
kernels::Draw draw_of(const Sampling& sampling, std::size_t index);

// Chooses tokens from logits as transformers' generate does: suppressed ids, temperature, top-k,
// top-p in this order, then one draw, all as draw.h says. One owner.
class Sampler {
 public:
  // `suppressed` ascending.
  explicit Sampler(std::vector<TokenId> suppressed);

  // Logits must be finite.
  TokenId pick(std::span<const float> logits, const kernels::Draw& draw);

  // What pick() draws from, ascending by token.
  struct Candidate {
    TokenId token = 0;
    float logit = 0.0F;
    std::uint64_t weight = 0;  // probability times the sum of all weights
  };
  std::span<const Candidate> candidates(std::span<const float> logits, const kernels::Draw& draw);

 private:
  void keep_top_k(std::size_t top_k);
  void keep_top_p(std::uint64_t top_p);

  const std::vector<TokenId> suppressed_;
  std::vector<Candidate> candidates_;
  std::vector<float> sorted_;  // logits of candidates, in part
};

}  // namespace captiond
