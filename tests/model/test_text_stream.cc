#define BOOST_TEST_MODULE text_stream
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/text_stream.h"
#include "tests/model/small_tokenizer.h"

namespace {

using captiond::TextStream;
using captiond::TokenId;
using Texts = std::vector<std::string>;

// What each token brings, then what finish() does.
Texts streamed(const std::vector<TokenId>& ids) {
  TextStream stream(captiond::test::small_tokenizer());
  Texts texts;
  for (const TokenId id : ids) texts.push_back(stream.put(id));
  texts.push_back(stream.finish());
  return texts;
}

TokenId id_of(const std::string& token) {
  const auto id = captiond::test::small_tokenizer()->find(token);
  BOOST_REQUIRE(id.has_value());
  return *id;
}

void check_texts(const std::vector<TokenId>& ids, const Texts& expected) {
  BOOST_TEST(streamed(ids) == expected, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_CASE(whole_tokens_come_at_once) {
  check_texts({id_of("Hello"), id_of(","), id_of("▁hello")}, {"Hello", ",", " hello", ""});
}

BOOST_AUTO_TEST_CASE(a_character_of_bytes_comes_with_the_token_after_it) {
  check_texts({id_of("<0xE2>"), id_of("<0x82>"), id_of("<0xAC>"), id_of(".")},
              {"", "", "", "€.", ""});
}

BOOST_AUTO_TEST_CASE(a_character_of_bytes_at_the_end_comes_with_finish) {
  check_texts({id_of("a"), id_of("<0xC3>"), id_of("<0xA9>")}, {"a", "", "", "é"});
}

BOOST_AUTO_TEST_CASE(bytes_that_stay_incomplete_become_replacements) {
  check_texts({id_of("<0xE2>"), id_of("<0x82>")}, {"", "", "\uFFFD\uFFFD"});
  check_texts({id_of("<0xE2>"), id_of("a")}, {"", "\uFFFDa", ""});
}

// Why characters that are whole already are held back, too.
BOOST_AUTO_TEST_CASE(a_bad_byte_later_in_the_run_spoils_the_whole_run) {
  check_texts({id_of("<0xC3>"), id_of("<0xA9>"), id_of("<0xFF>"), id_of("a")},
              {"", "", "", "\uFFFD\uFFFD\uFFFDa", ""});
}

BOOST_AUTO_TEST_CASE(special_and_unknown_ids_have_no_text_and_end_no_run) {
  check_texts({id_of("<0xC3>"), id_of("<turn|>"), 99999, -1, id_of("<0xA9>"), id_of("a")},
              {"", "", "", "", "", "éa", ""});
}

BOOST_AUTO_TEST_CASE(a_finished_stream_starts_again) {
  TextStream stream(captiond::test::small_tokenizer());
  stream.put(id_of("<0xC3>"));
  BOOST_TEST(stream.finish() == "\uFFFD");
  BOOST_TEST(stream.finish() == "");
  BOOST_TEST(stream.put(id_of("a")) == "a");
}
