#include "pipeline/language_choice.h"

#include <algorithm>
#include <cctype>

#include "elements/language.h"

namespace captiond {
namespace {

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// Every code that elements/language.h knows: they all have two letters.
std::vector<std::string> language_codes() {
  std::vector<std::string> codes;
  for (char first = 'a'; first <= 'z'; ++first) {
    for (char second = 'a'; second <= 'z'; ++second) {
      const std::string code{first, second};
      if (is_language(code)) codes.push_back(code);
    }
  }
  return codes;
}

}  // namespace

std::optional<std::string> find_language(std::string_view name_or_code) {
  for (const std::string& code : language_codes()) {
    if (same_letters(code, name_or_code) || same_letters(language_name(code), name_or_code)) {
      return code;
    }
  }
  return std::nullopt;
}

std::vector<std::string> language_names() {
  std::vector<std::string> names;
  for (const std::string& code : language_codes()) names.emplace_back(language_name(code));
  return names;
}

}  // namespace captiond
