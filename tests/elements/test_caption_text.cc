#define BOOST_TEST_MODULE caption_text
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/caption_text.h"
#include "elements/language.h"
#include "tests/support/word_tokenizer.h"

using namespace captiond;

namespace {

struct Words {
  std::shared_ptr<const Tokenizer> tokenizer = make_word_tokenizer("good morning user");

  std::string text(std::string_view of) const {
    return caption_text(*tokenizer, tokenizer->encode(of));
  }
  // The tokens of `of`, a bar before each that begins a word.
  std::string words(std::string_view of) const {
    const Hypothesis hypothesis = make_hypothesis(*tokenizer, tokenizer->encode(of));
    std::string out;
    for (std::size_t i = 0; i < hypothesis.tokens.size(); ++i) {
      out += hypothesis.starts_word[i] ? "|" : "";
      out += tokenizer->token(hypothesis.tokens[i]);
    }
    return out;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_caption_is_one_trimmed_line, Words) {
  BOOST_TEST(text(" good morning ") == "good morning");
  BOOST_TEST(text("\ngood\nmorning\n\n") == "good morning");
  BOOST_TEST(text("") == "");
  BOOST_TEST(text(" \n ") == "");
  BOOST_TEST(text("a\tb") == "a b");
}

BOOST_FIXTURE_TEST_CASE(control_tokens_are_no_text, Words) {
  BOOST_TEST(text("good<turn|> morning<|audio|>") == "good morning");
}

BOOST_FIXTURE_TEST_CASE(other_scripts_come_back_whole, Words) {
  BOOST_TEST(text("grüß 日本語 😀") == "grüß 日本語 😀");
}

BOOST_FIXTURE_TEST_CASE(a_word_begins_at_a_space_and_at_the_very_first_token, Words) {
  BOOST_TEST(words("good morning") == "|good|▁morning");
  BOOST_TEST(words("goods, user") == "|goods,|▁user");
  BOOST_TEST(words("good\nmorning") == "|good|\nmorning");
}

BOOST_FIXTURE_TEST_CASE(a_token_that_is_one_byte_never_begins_a_word, Words) {
  const Hypothesis as_bytes = make_hypothesis(*tokenizer, tokenizer->encode("good日本"));
  BOOST_REQUIRE_EQUAL(as_bytes.tokens.size(), 7u);
  for (std::size_t i = 1; i < as_bytes.starts_word.size(); ++i) {
    BOOST_TEST(!as_bytes.starts_word[i]);
  }
}

BOOST_AUTO_TEST_CASE(han_and_kana_characters_are_words_of_their_own) {
  Words words;
  words.tokenizer = make_word_tokenizer("日 本 の 😀 é");
  BOOST_TEST(words.words("日本の") == "|日|本|の");
  BOOST_TEST(words.words("a😀é") == "|a😀é");
}

BOOST_AUTO_TEST_CASE(languages_have_the_names_that_prompts_use) {
  BOOST_TEST(language_name("en") == "English");
  BOOST_TEST(language_name("de") == "German");
  BOOST_TEST(language_name("zu") == "Zulu");
  BOOST_TEST(language_name("af") == "Afrikaans");
  BOOST_TEST(is_language("es"));
  for (const char* code : {"", "e", "EN", "xx", "eng", "zz"}) {
    BOOST_TEST(!is_language(code), code);
    BOOST_CHECK_THROW(language_name(code), std::invalid_argument);
  }
}
