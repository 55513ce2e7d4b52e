#include "model/white_space.h"

#include "model/utf8.h"

namespace captiond {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::size_t white_space_before(std::string_view text, std::size_t end) {
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!is_white_space(first_utf8_unit(text.substr(begin, end - begin)).code_point)) break;
    end = begin;
  }
  return end;
}

std::size_t white_space_after(std::string_view text, std::size_t begin) {
  while (begin < text.size()) {
    const Utf8Unit unit = first_utf8_unit(text.substr(begin));
    if (!is_white_space(unit.code_point)) break;
    begin += unit.bytes;
  }
  return begin;
}

}  // namespace captiond
