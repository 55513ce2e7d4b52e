#include "model/text_stream.h"

#include <utility>

#include "model/byte_token.h"

namespace captiond {

TextStream::TextStream(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::string TextStream::put(TokenId id) {
  // As in decode(), what has no text does not end a run of bytes.
  if (!tokenizer_->contains(id) || tokenizer_->is_special(id)) return {};
  held_.push_back(id);
  if (byte_of_token(tokenizer_->token(id))) return {};
  return finish();
}

std::string TextStream::finish() {
  std::string text = tokenizer_->decode(held_);
  held_.clear();
  return text;
}

}  // namespace captiond
