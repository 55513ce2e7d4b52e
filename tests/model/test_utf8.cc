#define BOOST_TEST_MODULE utf8
#include <string>

#include <boost/test/unit_test.hpp>

#include "model/utf8.h"

namespace {

// U+FFFD
const std::string kX = "\xEF\xBF\xBD";

}  // namespace

BOOST_AUTO_TEST_CASE(every_code_point_is_read_back) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    if (c < 0x80) {
      text = {static_cast<char>(c)};
    } else if (c < 0x800) {
      text = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 63))};
    } else if (c < 0x10000) {
      text = {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 63)),
              static_cast<char>(0x80 | (c & 63))};
    } else {
      text = {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 63)),
              static_cast<char>(0x80 | ((c >> 6) & 63)), static_cast<char>(0x80 | (c & 63))};
    }
    const captiond::Utf8Unit unit = captiond::first_utf8_unit(text + "a");
    if (!unit.valid || unit.code_point != c || unit.bytes != text.size()) {
      BOOST_ERROR("U+" << std::hex << static_cast<unsigned>(c) << " is not read back");
    }
  }
}

// The examples of Unicode 15, chapter 3.9, tables 3-8 to 3-11.
BOOST_AUTO_TEST_CASE(each_maximal_subpart_becomes_one_replacement) {
  const auto check = [](const std::string& text, const std::string& expected) {
    BOOST_TEST(captiond::replace_invalid_utf8(text) == expected);
    BOOST_TEST(!captiond::is_valid_utf8(text));
    BOOST_TEST(captiond::is_valid_utf8(expected));
  };
  check("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", kX + kX + kX + kX + kX + kX + kX + kX + "A");
  check("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", kX + kX + kX + kX + kX + kX + kX + kX + "A");
  check("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", kX + kX + kX + kX + kX + "A" + kX + kX + "B");
  check("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", kX + kX + kX + kX + "A");
}

BOOST_AUTO_TEST_CASE(a_sequence_cut_off_at_the_end_becomes_one_replacement) {
  BOOST_TEST(captiond::replace_invalid_utf8("a\xF0\x9F\x98") == "a" + kX);
  BOOST_TEST(captiond::replace_invalid_utf8("a\xE2\x82") == "a" + kX);
  BOOST_TEST(captiond::replace_invalid_utf8("\xC3") == kX);
}

BOOST_AUTO_TEST_CASE(valid_text_stays) {
  const std::string text("a\0é字😀\xF4\x8F\xBF\xBF", 15);
  BOOST_TEST(captiond::is_valid_utf8(text));
  BOOST_TEST(captiond::replace_invalid_utf8(text) == text);
  BOOST_TEST(captiond::is_valid_utf8(""));
  BOOST_TEST(captiond::replace_invalid_utf8("") == "");
}
