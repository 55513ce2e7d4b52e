#pragma once

#include <span>
#include <string>

#include "elements/stable_prefix.h"
#include "model/tokenizer.h"

namespace captiond {

// The text of `ids` on one line: special tokens left out, control characters (newlines too) as
// spaces, no white space at either end.
std::string caption_text(const Tokenizer& tokenizer, std::span<const TokenId> ids);

// Words begin at white space and, in writing without spaces (Han, Hiragana, Katakana), at every
// character. A token that holds part of a character never begins a word.
Hypothesis make_hypothesis(const Tokenizer& tokenizer, std::vector<TokenId> ids);

}  // namespace captiond
