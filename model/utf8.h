#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace captiond {

// What a text starts with: one code point, or one maximal ill-formed subsequence, which Unicode
// (chapter 3.9, table 3-7 and "U+FFFD substitution of maximal subparts") replaces by one U+FFFD.
struct Utf8Unit {
  std::size_t bytes = 0;  // 1 to 4
  bool valid = false;
  char32_t code_point = 0;  // U+FFFD if not valid
};

// `text` must not be empty.
Utf8Unit first_utf8_unit(std::string_view text);

bool is_valid_utf8(std::string_view text);

// `text` with each maximal ill-formed subsequence replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace captiond
