#include "elements/caption_text.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace captiond {
namespace {

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
}

// The first code point of valid UTF-8 of up to four bytes; 0 for empty text.
std::uint32_t first_code_point(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return lead;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (text.size() < length) return 0;
  std::uint32_t code = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) code = (code << 6) | (byte(i) & 0x3f);
  return code;
}

// Scripts in which every character is taken for a word.
bool writes_without_spaces(std::uint32_t code) {
  return (code >= 0x3041 && code <= 0x30ff) ||  // Hiragana, Katakana
         (code >= 0x3400 && code <= 0x9fff) ||  // Han, extension A and the common block
         (code >= 0xf900 && code <= 0xfaff) ||  // Han, compatibility forms
         (code >= 0x20000 && code <= 0x3ffff);  // Han, further extensions
}

// A byte token stands for part of a character: what it begins is known only with its neighbours.
bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

}  // namespace

std::string caption_text(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  std::string text = tokenizer.decode(ids);
  for (char& c : text) {
    if (is_control(c)) c = ' ';
  }
  const std::size_t last = text.find_last_not_of(' ');
  text.erase(last == std::string::npos ? 0 : last + 1);
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

Hypothesis make_hypothesis(const Tokenizer& tokenizer, std::vector<TokenId> ids) {
  Hypothesis hypothesis;
  hypothesis.starts_word.reserve(ids.size());
  for (const TokenId& id : ids) {
    const bool first = hypothesis.starts_word.empty();
    if (is_byte_token(tokenizer.token(id))) {
      hypothesis.starts_word.push_back(first);
      continue;
    }
    const std::string text = tokenizer.decode(std::span(&id, 1));
    const bool starts = !text.empty() && (text.front() == ' ' || is_control(text.front()) ||
                                          writes_without_spaces(first_code_point(text)));
    hypothesis.starts_word.push_back(first || starts);
  }
  hypothesis.tokens = std::move(ids);
  return hypothesis;
}

}  // namespace captiond
