#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "model/token.h"

namespace captiond {

// One guess of the text of a segment. A word begins at token i where starts_word[i].
struct Hypothesis {
  std::vector<TokenId> tokens;
  std::vector<bool> starts_word;  // as many as tokens; the first token always starts a word
};

// Decides which beginning of a segment's text is promised never to change (local agreement).
//
// The words on which two consecutive hypotheses agree, token by token, become stable, except the
// last `hold_back_words` of the newer hypothesis: they lie where the audio was cut off. A word
// counts as agreed only if it ends in both, so that "meet" is not promised when "meeting" may come.
// The stable part only grows; every hypothesis given must begin with it. One owner.
class StablePrefix {
 public:
  explicit StablePrefix(std::size_t hold_back_words) : hold_back_words_(hold_back_words) {}

  // The next hypothesis. With `may_grow` false it is remembered for the next agreement, but nothing
  // becomes stable by it.
  void observe(const Hypothesis& hypothesis, bool may_grow);

  std::span<const TokenId> tokens() const { return {last_.tokens.data(), stable_}; }
  // The tokens of the last hypothesis after the stable ones: what the next one probably says.
  std::span<const TokenId> rest() const { return std::span(last_.tokens).subspan(stable_); }

 private:
  const std::size_t hold_back_words_;
  Hypothesis last_;
  std::size_t stable_ = 0;  // tokens; a word boundary of last_
};

}  // namespace captiond
