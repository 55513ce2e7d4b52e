#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace captiond {

// Decodes one token at a time and holds back what is not yet whole UTF-8 (byte tokens of a
// character whose other bytes are still to come). The concatenation of all that put() and finish()
// return equals Tokenizer::decode() of the same ids. One owner.
class TextStream {
 public:
  explicit TextStream(std::shared_ptr<const Tokenizer> tokenizer);

  std::string put(TokenId id);
  // What is still held back, an incomplete sequence as U+FFFD. The stream is then empty again.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<TokenId> held_bytes_;
};

}  // namespace captiond
