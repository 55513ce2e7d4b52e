#include "model/utf8.h"

#include <cstdint>

#include "model/check.h"

namespace captiond {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What the first byte of a well-formed sequence says: its length, and the range of its second byte.
// Third and fourth bytes are 80..BF.
struct Lead {
  std::size_t bytes = 0;  // 0: cannot start a sequence
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

}  // namespace

Utf8Unit first_utf8_unit(std::string_view text) {
  check(!text.empty(), "an empty text has no first code point");
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.bytes == 1) return {1, true, byte(0)};
  if (lead.bytes == 0) return {1, false, U'\uFFFD'};
  char32_t code_point = byte(0) & (0xFFu >> (lead.bytes + 1));
  for (std::size_t i = 1; i < lead.bytes; ++i) {
    const std::uint8_t low = i == 1 ? lead.second_min : std::uint8_t{0x80};
    const std::uint8_t high = i == 1 ? lead.second_max : std::uint8_t{0xBF};
    if (i == text.size() || byte(i) < low || byte(i) > high) return {i, false, U'\uFFFD'};
    code_point = (code_point << 6) | (byte(i) & 0x3Fu);
  }
  return {lead.bytes, true, code_point};
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Unit unit = first_utf8_unit(text);
    if (!unit.valid) return false;
    text.remove_prefix(unit.bytes);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Unit unit = first_utf8_unit(text);
    out += unit.valid ? text.substr(0, unit.bytes) : kReplacement;
    text.remove_prefix(unit.bytes);
  }
  return out;
}

}  // namespace captiond
