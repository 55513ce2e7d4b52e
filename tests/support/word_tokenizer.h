#pragma once

#include <memory>
#include <string_view>

#include "model/tokenizer.h"

namespace captiond {

// A small tokenizer in Gemma's layout: the chat markers, single characters, bytes, and the words of
// `words` (separated by spaces) as one token each, with and without a space before them. Words that
// share letters with earlier ones may take more tokens; text always comes back as it was.
std::shared_ptr<const Tokenizer> make_word_tokenizer(std::string_view words);

}  // namespace captiond
