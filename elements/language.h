#pragma once

#include <string>
#include <string_view>

namespace captiond {

// The English name of the language with ISO 639-1 code `code` ("de": "German"), as the prompts name
// languages. Throws std::invalid_argument, one sentence, for a code that is not in the list of
// language.cc.
std::string_view language_name(std::string_view code);

bool is_language(std::string_view code) noexcept;

}  // namespace captiond
