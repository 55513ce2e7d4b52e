#include "pipeline/printable_text.h"

#include <cstddef>

namespace captiond {
namespace {

constexpr std::size_t kQuotedBytesMax = 60;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string result;
  unsigned char before = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    // C1 controls are U+0080 to U+009F: C2 80 to C2 9F in UTF-8.
    const bool c1 = before == 0xC2 && byte >= 0x80 && byte < 0xA0;
    if (byte < 0x20 || byte == 0x7F || c1) {
      if (c1) result.pop_back();
      result += "\\x";
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    } else {
      result += c;
    }
    before = byte;
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  std::size_t length = text.size();
  if (length > kQuotedBytesMax) {
    length = kQuotedBytesMax;
    while (length > 0 && is_continuation(text[length])) --length;
  }
  const std::string cut = length < text.size() ? "…" : "";
  return "\"" + printable(text.substr(0, length)) + cut + "\"";
}

}  // namespace captiond
