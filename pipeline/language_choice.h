#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace captiond {

// The ISO 639-1 code of a language that a user named: by that code or by its English name, in any
// case ("en", "English", "german"). nullopt if elements/language.h has no such language.
std::optional<std::string> find_language(std::string_view name_or_code);

// English names of all languages of elements/language.h.
std::vector<std::string> language_names();

}  // namespace captiond
