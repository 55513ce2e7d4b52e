#include "elements/stable_prefix.h"

#include <algorithm>

#include "model/check.h"

namespace captiond {
namespace {

bool is_boundary(const Hypothesis& hypothesis, std::size_t i) {
  return i == hypothesis.tokens.size() || hypothesis.starts_word[i];
}

// The most tokens that both begin with and after which a word ends in both.
std::size_t agreed_tokens(const Hypothesis& a, const Hypothesis& b) {
  const auto differ =
      std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
  auto agreed = static_cast<std::size_t>(differ.first - a.tokens.begin());
  while (agreed > 0 && !(is_boundary(a, agreed) && is_boundary(b, agreed))) --agreed;
  return agreed;
}

// The tokens before the last `words` words.
std::size_t tokens_before_last(const Hypothesis& hypothesis, std::size_t words) {
  std::size_t i = hypothesis.tokens.size();
  while (i > 0 && words > 0) {
    --i;
    if (hypothesis.starts_word[i]) --words;
  }
  return i;
}

}  // namespace

void StablePrefix::observe(const Hypothesis& hypothesis, bool may_grow) {
  check(hypothesis.starts_word.size() == hypothesis.tokens.size(),
        "a hypothesis has as many word flags as tokens");
  check(hypothesis.tokens.size() >= stable_ &&
            std::equal(tokens().begin(), tokens().end(), hypothesis.tokens.begin()),
        "a hypothesis begins with the stable tokens of its segment");
  if (may_grow) {
    const std::size_t agreed = agreed_tokens(last_, hypothesis);
    const std::size_t old_enough = tokens_before_last(hypothesis, hold_back_words_);
    stable_ = std::max(stable_, std::min(agreed, old_enough));
  }
  last_ = hypothesis;
}

}  // namespace captiond
