#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace captiond {

// Decodes one token at a time. The concatenation of all that put() and finish() return equals
// Tokenizer::decode() of the same ids, special tokens left out.
//
// Byte tokens are held back until the next token that is none, even where they already make whole
// characters: decode() turns a run of bytes that is not UTF-8 as a whole into U+FFFD, so a later
// byte may change what an earlier one becomes, and what was shown is never taken back. One owner.
class TextStream {
 public:
  explicit TextStream(std::shared_ptr<const Tokenizer> tokenizer);

  std::string put(TokenId id);
  // What is still held back, an incomplete sequence as U+FFFD. The stream is then empty again.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<TokenId> held_;
};

}  // namespace captiond
