#define BOOST_TEST_MODULE stable_prefix
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/stable_prefix.h"

using namespace captiond;

namespace {

// "the meet·ing" is three tokens, of which the last continues a word. Ids are made of the text.
Hypothesis hypothesis(const std::string& text) {
  Hypothesis out;
  std::string token;
  bool starts = true;
  const auto flush = [&](bool next_starts) {
    if (!token.empty()) {
      TokenId id = 0;
      for (const char c : token) id = (id * 31 + c) % 100003;
      out.tokens.push_back(id);
      out.starts_word.push_back(starts);
    }
    token.clear();
    starts = next_starts;
  };
  for (const char c : text) {
    if (c == ' ') {
      flush(true);
    } else if (c == '+') {
      flush(false);
    } else {
      token += c;
    }
  }
  flush(true);
  return out;
}

// How many tokens are stable after the hypotheses, one after the other.
std::size_t stable_after(std::size_t hold_back, const std::vector<std::string>& hypotheses) {
  StablePrefix prefix(hold_back);
  for (const std::string& text : hypotheses) prefix.observe(hypothesis(text), true);
  return prefix.tokens().size();
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_hypothesis_alone_promises_nothing) {
  BOOST_TEST(stable_after(1, {"the meeting starts at noon"}) == 0u);
}

BOOST_AUTO_TEST_CASE(what_two_agree_on_is_stable_except_the_last_words) {
  BOOST_TEST(stable_after(1, {"the meeting starts", "the meeting starts at noon"}) == 3u);
  BOOST_TEST(stable_after(2, {"the meeting starts", "the meeting starts"}) == 1u);
  BOOST_TEST(stable_after(2, {"the meeting starts at noon", "the meeting starts at noon"}) == 3u);
}

BOOST_AUTO_TEST_CASE(agreement_ends_where_they_differ) {
  BOOST_TEST(stable_after(1, {"the greeting starts at noon", "the meeting starts at noon"}) == 1u);
  BOOST_TEST(stable_after(1, {"a b", "c d e f"}) == 0u);
}

BOOST_AUTO_TEST_CASE(only_consecutive_hypotheses_count) {
  BOOST_TEST(stable_after(1, {"a b c d e", "x b c d e", "a b c d e"}) == 0u);
}

BOOST_AUTO_TEST_CASE(a_word_that_goes_on_in_either_is_not_agreed) {
  BOOST_TEST(stable_after(1, {"the meet", "the meet+ing starts at"}) == 1u);
  BOOST_TEST(stable_after(1, {"the meet+ing starts", "the meet starts at"}) == 1u);
  BOOST_TEST(stable_after(1, {"the meet+ing starts", "the meet+ing starts at"}) == 4u);
}

BOOST_AUTO_TEST_CASE(a_held_back_word_is_held_back_with_all_its_tokens) {
  BOOST_TEST(stable_after(1, {"the meet+ing+s", "the meet+ing+s"}) == 1u);
  BOOST_TEST(stable_after(2, {"a the meet+ing+s", "a the meet+ing+s"}) == 1u);
}

BOOST_AUTO_TEST_CASE(stable_text_is_never_taken_back) {
  StablePrefix prefix(1);
  prefix.observe(hypothesis("a b c d"), true);
  prefix.observe(hypothesis("a b c d"), true);
  BOOST_TEST(prefix.tokens().size() == 3u);
  prefix.observe(hypothesis("a b c"), true);  // shorter, as after a change of mind
  BOOST_TEST(prefix.tokens().size() == 3u);
  prefix.observe(hypothesis("a b c x y"), true);
  BOOST_TEST(prefix.tokens().size() == 3u);
  BOOST_TEST(prefix.rest().size() == 2u);
}

BOOST_AUTO_TEST_CASE(it_grows_only_when_it_may_but_remembers_all) {
  StablePrefix prefix(1);
  prefix.observe(hypothesis("a b c d"), false);
  prefix.observe(hypothesis("a b c d"), false);
  BOOST_TEST(prefix.tokens().size() == 0u);
  BOOST_TEST(prefix.rest().size() == 4u);
  prefix.observe(hypothesis("a b c d e"), true);
  BOOST_TEST(prefix.tokens().size() == 4u);
}

BOOST_AUTO_TEST_CASE(an_empty_hypothesis_is_a_hypothesis) {
  BOOST_TEST(stable_after(1, {"", "a b c", "a b c"}) == 2u);
  BOOST_TEST(stable_after(1, {"a b c", "", "a b c"}) == 0u);
}
