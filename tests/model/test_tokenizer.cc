#define BOOST_TEST_MODULE tokenizer
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/tokenizer.h"
#include "tests/model/refusal.h"
#include "tests/model/small_tokenizer.h"

namespace {

using captiond::TokenId;
using captiond::Tokenizer;
using captiond::test::small_tokenizer;
using captiond::test::small_tokenizer_json;
using nlohmann::json;

constexpr const char* kFile = "folder/tokenizer.json";

std::vector<std::string> tokens_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) tokens.emplace_back(tokenizer.token(id));
  return tokens;
}

void check_tokens(const Tokenizer& tokenizer, std::string_view text,
                  const std::vector<std::string>& expected) {
  BOOST_TEST_INFO("text: " << text);
  BOOST_TEST(tokens_of(tokenizer, tokenizer.encode(text)) == expected,
             boost::test_tools::per_element());
}

void check_refused(const std::string& text, const std::vector<std::string>& parts) {
  captiond::test::check_refusal([&] { Tokenizer::parse(text, kFile); }, kFile, parts);
}

// The small tokenizer after `change` of its document.
void check_refused_change(const std::function<void(json&)>& change,
                          const std::vector<std::string>& parts) {
  json document = small_tokenizer_json();
  BOOST_REQUIRE_NO_THROW(Tokenizer::parse(document.dump(), kFile));
  change(document);
  check_refused(document.dump(), parts);
}

void check_refused_value(const char* pointer, const json& value,
                         const std::vector<std::string>& parts) {
  BOOST_TEST_INFO(pointer << " = " << value.dump());
  check_refused_change([&](json& document) { document[json::json_pointer(pointer)] = value; },
                       parts);
}

}  // namespace

BOOST_AUTO_TEST_CASE(merges_go_from_the_lowest_rank_leftmost_first) {
  const auto tokenizer = small_tokenizer();
  check_tokens(*tokenizer, "Hello hello", {"Hello", "▁hello"});
  check_tokens(*tokenizer, "hello users", {"h", "e", "l", "l", "o", "▁", "user", "s"});
  check_tokens(*tokenizer, "Hel", {"Hel"});
  check_tokens(*tokenizer, "Helo", {"Hel", "o"});
}

BOOST_AUTO_TEST_CASE(long_pieces_merge_as_short_ones_do) {
  // Neither "eH" nor "oH" joins, so the first text is cut; in the second, one letter runs on.
  json document = small_tokenizer_json();
  json& vocab = document["model"]["vocab"];
  std::string run = "x";
  for (int i = 0; i < 3; ++i) {
    document["model"]["merges"].push_back({run, run});
    run += run;
    vocab[run] = vocab.size();
  }
  const auto tokenizer = Tokenizer::parse(document.dump(), kFile);
  for (const std::size_t letters : {1u, 7u, 8u, 23u, 24u, 25u, 26u, 100u, 1001u}) {
    std::vector<std::string> expected(letters / 8, "xxxxxxxx");
    for (const std::size_t rest : {4u, 2u, 1u}) {
      if (letters & rest) expected.emplace_back(rest, 'x');
    }
    check_tokens(*tokenizer, std::string(letters, 'x'), expected);
  }
}

BOOST_AUTO_TEST_CASE(characters_outside_the_vocabulary_become_bytes) {
  const auto tokenizer = small_tokenizer();
  check_tokens(*tokenizer, "a€é", {"a", "<0xE2>", "<0x82>", "<0xAC>", "é"});
  check_tokens(*tokenizer, std::string_view("\0", 1), {"<0x00>"});
  check_tokens(*tokenizer, "\xE2\x82", {"<0xEF>", "<0xBF>", "<0xBD>"});
}

BOOST_AUTO_TEST_CASE(added_tokens_are_cut_out_longest_first) {
  const auto tokenizer = small_tokenizer();
  check_tokens(*tokenizer, "a\n\n\n\n<|audio|><|audio>b",
               {"a", "\n\n\n", "\n", "<|audio|>", "<|audio>", "b"});
  check_tokens(*tokenizer, "<turn|<turn|>", {"<", "t", "u", "r", "n", "|", "<turn|>"});
}

BOOST_AUTO_TEST_CASE(plain_text_never_becomes_a_control_token) {
  const auto tokenizer = small_tokenizer();
  const std::string text = "<turn|>a\n<bos>";
  const std::vector<TokenId> ids = tokenizer->encode_plain(text);
  const std::vector<std::string> expected = {"<", "t",  "u", "r", "n", "|", ">",
                                             "a", "\n", "<", "b", "o", "s", ">"};
  BOOST_TEST(tokens_of(*tokenizer, ids) == expected, boost::test_tools::per_element());
  BOOST_TEST(tokenizer->decode(ids) == text);
}

BOOST_AUTO_TEST_CASE(a_marker_that_the_file_forgot_to_call_special_is_not_made_of_plain_text) {
  json document = small_tokenizer_json();
  for (json& token : document["added_tokens"]) token["special"] = false;
  document["model"]["ignore_merges"] = true;
  const auto tokenizer = Tokenizer::parse(document.dump(), kFile);
  const TokenId turn_end = *tokenizer->find("<turn|>");
  BOOST_TEST(!tokenizer->is_special(turn_end));
  BOOST_TEST((tokenizer->encode("<turn|>") == std::vector{turn_end}));
  BOOST_TEST(tokenizer->encode_plain("<turn|>").size() == 7u);
}

BOOST_AUTO_TEST_CASE(decoding_leaves_special_tokens_out_unless_asked) {
  const auto tokenizer = small_tokenizer();
  const std::vector<TokenId> ids = tokenizer->encode("<bos>Hello hello<turn|>\n");
  BOOST_TEST(tokenizer->decode(ids) == "Hello hello\n");
  BOOST_TEST(tokenizer->decode(ids, true) == "<bos>Hello hello<turn|>\n");
  BOOST_TEST(tokenizer->decode({}) == "");
}

BOOST_AUTO_TEST_CASE(ids_without_a_token_have_no_text) {
  const auto tokenizer = small_tokenizer();
  const auto beyond = static_cast<TokenId>(tokenizer->size());
  const std::vector<TokenId> ids = {*tokenizer->find("a"), beyond, -1, *tokenizer->find("b")};
  BOOST_TEST(tokenizer->decode(ids, true) == "ab");
  BOOST_TEST(tokenizer->token(beyond) == "");
  BOOST_TEST(!tokenizer->contains(beyond));
  BOOST_TEST(!tokenizer->contains(-1));
  BOOST_TEST(!tokenizer->is_special(beyond));
  BOOST_TEST(tokenizer->contains(beyond - 1));
  BOOST_TEST(!tokenizer->find("no such token").has_value());
}

BOOST_AUTO_TEST_CASE(a_string_with_two_ids_has_the_last_and_the_first_has_no_token) {
  json document = small_tokenizer_json();
  const std::size_t size = document["model"]["vocab"].size();
  std::string text = document.dump();
  const std::string key = "\"vocab\":{";
  text.insert(text.find(key) + key.size(), "\"a\":" + std::to_string(size) + ",");
  const auto tokenizer = Tokenizer::parse(text, kFile);
  const TokenId first = *tokenizer->find("a");
  BOOST_TEST(first == document["model"]["vocab"]["a"].get<TokenId>());
  BOOST_TEST(tokenizer->size() == size + 1);
  BOOST_TEST(!tokenizer->contains(static_cast<TokenId>(size)));
}

BOOST_AUTO_TEST_CASE(a_megabyte_without_a_place_to_cut_takes_no_quadratic_time) {
  json document = small_tokenizer_json();
  json& vocab = document["model"]["vocab"];
  std::string run = "x";
  for (int i = 0; i < 5; ++i) {
    document["model"]["merges"].push_back({run, run});
    run += run;
    vocab[run] = vocab.size();
  }
  const auto tokenizer = Tokenizer::parse(document.dump(), kFile);
  const auto seconds = [&](std::size_t bytes) {
    const std::string text(bytes, 'x');
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(tokenizer->encode(text).size() == bytes / 32);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const double small = seconds(1 << 16);
  const double large = seconds(1 << 20);
  // 16 times the text: n log n gives about 20 times the time, a quadratic way 256 times.
  BOOST_TEST(large < 100 * small, large << " s after " << small << " s");
}

BOOST_AUTO_TEST_CASE(white_space_that_tokens_take_along_takes_no_quadratic_time) {
  json document = small_tokenizer_json();
  for (json& token : document["added_tokens"]) {
    const bool newline = token["content"] == "\n";
    token["lstrip"] = newline;
    token["rstrip"] = newline;
  }
  json& added = document["added_tokens"];
  added.erase(std::remove_if(added.begin(), added.end(),
                             [](const json& token) {
                               return token["content"].get<std::string>().starts_with("\n\n");
                             }),
              added.end());
  const auto tokenizer = Tokenizer::parse(document.dump(), kFile);
  // A million scans of half a million bytes would take minutes.
  const std::size_t newlines = std::size_t{1} << 20;
  BOOST_TEST(tokenizer->encode(std::string(newlines, '\n')).size() == newlines);
}

// Files that are refused. Each message names the file, the place, what is expected and found.

BOOST_AUTO_TEST_CASE(what_is_not_json_is_refused) {
  check_refused("", {"JSON"});
  check_refused("{", {"JSON", "byte 2"});
  check_refused(
      "\x7F"
      "ELF",
      {"JSON"});
  check_refused("{\"version\": \"1.0\"} x", {"JSON"});
  check_refused("{\"a\": \"\\ud800\"}", {"JSON"});
  check_refused("{\"a\": \"\xFF\"}", {"JSON"});
  const std::string whole = small_tokenizer_json().dump();
  check_refused(whole.substr(0, whole.size() / 2), {"JSON", "byte"});
}

BOOST_AUTO_TEST_CASE(json_of_another_shape_is_refused) {
  check_refused("[]", {"the root must be an object"});
  check_refused("3", {"the root must be an object", "3"});
  check_refused("{}", {"version must be \"1.0\", found null"});
  check_refused(std::string(100000, '['), {"64 deep"});
  check_refused("{\"a\": 1, \"a\": 2}", {"\"a\"", "twice"});
  check_refused_value("/version", "2.0", {"version", "\"2.0\""});
  check_refused_value("/surprise", 1, {"surprise must be absent, found 1"});
  check_refused_value("/model", nullptr, {"model must be an object, found null"});
}

BOOST_AUTO_TEST_CASE(another_way_of_cutting_or_changing_text_is_refused) {
  check_refused_value("/normalizer", nullptr,
                      {"normalizer must be {", "\"Replace\"", "found null"});
  check_refused_value("/normalizer/type", "NFC",
                      {"normalizer.type must be \"Replace\", found \"NFC\""});
  check_refused_value("/normalizer/pattern", {{"Regex", " "}}, {"normalizer.pattern.Regex"});
  check_refused_value("/normalizer/content", "_", {"normalizer.content", "\"_\""});
  check_refused_value("/pre_tokenizer/type", "ByteLevel", {"pre_tokenizer.type", "\"ByteLevel\""});
  check_refused_value("/pre_tokenizer/behavior", "Isolated",
                      {"pre_tokenizer.behavior", "\"Isolated\""});
  check_refused_value("/pre_tokenizer/invert", true, {"pre_tokenizer.invert", "true"});
  check_refused_value("/decoder", nullptr, {"decoder must be"});
  check_refused_value("/decoder/decoders/1/type", "Strip",
                      {"decoder.decoders[1].type", "\"Strip\""});
  check_refused_value("/truncation", {{"max_length", 5}}, {"truncation must be null"});
  check_refused_value("/padding", {{"strategy", {{"Fixed", 5}}}},
                      {"padding.strategy", "BatchLongest"});
  BOOST_CHECK_NO_THROW(Tokenizer::parse(
      [] {
        json document = small_tokenizer_json();
        document["padding"] = {{"strategy", "BatchLongest"}, {"pad_id", 0}};
        document["pre_tokenizer"] = nullptr;
        return document.dump();
      }(),
      kFile));
}

BOOST_AUTO_TEST_CASE(another_model_is_refused) {
  check_refused_value("/model/type", "WordPiece",
                      {"model.type must be \"BPE\", found \"WordPiece\""});
  check_refused_value("/model/dropout", 0.1, {"model.dropout", "0.1"});
  check_refused_value("/model/continuing_subword_prefix", "##",
                      {"model.continuing_subword_prefix", "##"});
  check_refused_value("/model/end_of_word_suffix", "</w>", {"model.end_of_word_suffix", "</w>"});
  check_refused_value("/model/byte_fallback", "yes",
                      {"model.byte_fallback", "true or false", "\"yes\""});
  check_refused_value("/model/fuse_unk", 1, {"model.fuse_unk", "true or false", "1"});
  check_refused_value("/model/unk_token", 3, {"model.unk_token", "a string", "3"});
  check_refused_value("/model/unk_token", "[UNK]", {"[UNK]", "model.unk_token"});
  check_refused_value("/model/surprise", 1, {"model.surprise must be absent"});
  check_refused_change(
      [](json& document) {
        document["model"]["byte_fallback"] = false;
        document["model"]["unk_token"] = nullptr;
      },
      {"model.byte_fallback", "model.unk_token"});
}

BOOST_AUTO_TEST_CASE(a_vocabulary_that_is_none_is_refused) {
  check_refused_value("/model/vocab", nullptr, {"model.vocab must be an object", "null"});
  check_refused_value("/model/vocab", json::array(), {"model.vocab must be an object"});
  check_refused_value("/model/vocab/a", "1", {"\"a\"", "model.vocab", "whole number", "\"1\""});
  check_refused_value("/model/vocab/a", 1.5, {"\"a\"", "whole number", "1.5"});
  check_refused_value("/model/vocab/a", -1, {"\"a\"", "whole number", "-1"});
  check_refused_value("/model/vocab/a", 1ull << 40, {"\"a\"", "whole number", "1099511627776"});
  check_refused_value("/model/vocab/a", json::array(), {"\"a\"", "whole number"});
  check_refused_value("/model/vocab/a", json::object(), {"\"a\"", "whole number"});
  check_refused_value("/model/vocab/a", true, {"\"a\"", "whole number", "true"});
}

BOOST_AUTO_TEST_CASE(ids_with_holes_or_given_twice_are_refused) {
  const std::size_t size = small_tokenizer_json()["model"]["vocab"].size();
  check_refused_value("/model/vocab/a", size,
                      {"\"a\"", "0 to " + std::to_string(size - 1), std::to_string(size)});
  check_refused_value("/model/vocab/a", 2147483647, {"\"a\"", "2147483647"});
  const json b = small_tokenizer_json()["model"]["vocab"]["b"];
  check_refused_value("/model/vocab/a", b, {"id " + b.dump(), "\"a\"", "\"b\""});
  check_refused_change([](json& document) { document["model"]["vocab"].erase("z"); }, {"0 to"});
}

BOOST_AUTO_TEST_CASE(merges_that_are_none_are_refused) {
  check_refused_value("/model/merges", nullptr, {"model.merges must be an array", "null"});
  check_refused_value("/model/merges", json::object(), {"model.merges must be an array"});
  check_refused_value("/model/merges/1", 7, {"merge 1 ", "7"});
  check_refused_value("/model/merges/1", {"u", "s", "e"}, {"merge 1 ", "2 tokens", "3"});
  check_refused_value("/model/merges/1", json::array(), {"merge 1 ", "2 tokens", "0"});
  check_refused_value("/model/merges/1", {"u", 7}, {"merge 1 ", "7"});
  check_refused_value("/model/merges/1", {"u", {"s"}}, {"merge 1 "});
  check_refused_value("/model/merges/1", json::object(), {"merge 1 "});
  check_refused_value("/model/merges/1", "u s", {"merge 1 ", "form"});
  check_refused_value("/model/merges", {"u s", {"us", "e"}}, {"merge 1 ", "form"});
  check_refused_value("/model/merges", {"u s", "us"}, {"merge 1 ", "one space", "\"us\""});
  check_refused_value("/model/merges", {"u s e"}, {"merge 0 ", "one space"});
}

BOOST_AUTO_TEST_CASE(merges_of_unknown_tokens_are_refused) {
  check_refused_value("/model/merges/1", {"Q", "s"}, {"merge 1 ", "none for \"Q\""});
  check_refused_value("/model/merges/1", {"s", "Q"}, {"merge 1 ", "none for \"Q\""});
  check_refused_value("/model/merges/1", {"q", "q"}, {"merge 1 ", "none for \"qq\""});
  check_refused_value("/model/merges/1", {"", "q"}, {"merge 1 ", "stand for text"});
  check_refused_value("/model/merges/1", {"<0x41>", "q"}, {"merge 1 ", "stand for text", "<0x41>"});
  check_refused_value("/model/merges/1", {"q", "<unk>"}, {"merge 1 ", "stand for text", "<unk>"});
}

BOOST_AUTO_TEST_CASE(a_missing_byte_token_is_refused) {
  check_refused_change(
      [](json& document) {
        json& vocab = document["model"]["vocab"];
        vocab["<0xab>"] = vocab["<0xAB>"];
        vocab.erase("<0xAB>");
      },
      {"<0xAB>", "byte_fallback"});
}

BOOST_AUTO_TEST_CASE(added_tokens_that_do_not_fit_are_refused) {
  check_refused_value("/added_tokens", 1, {"added_tokens must be an array", "1"});
  check_refused_value("/added_tokens/3", 1, {"added_tokens[3] must be an object"});
  check_refused_value("/added_tokens/3/id", 4, {"added_tokens must be 3", "found 4"});
  check_refused_value("/added_tokens/3/id", "3", {"added_tokens[3].id", "whole number"});
  check_refused_value("/added_tokens/3/id", -3, {"added_tokens[3].id", "whole number"});
  check_refused_value("/added_tokens/3/content", "", {"added_tokens[3].content"});
  check_refused_value("/added_tokens/3/content", std::string(1025, 'a'), {"1 to 1024 bytes"});
  check_refused_value("/added_tokens/3/content", nullptr, {"added_tokens[3].content", "a string"});
  check_refused_value("/added_tokens/3/content", "<new>", {"\"<new>\"", "the next free one"});
  check_refused_value("/added_tokens/3/content", "<pad>", {"\"<pad>\""});
  check_refused_value("/added_tokens/3/special", nullptr,
                      {"added_tokens[3].special", "true or false"});
  check_refused_value("/added_tokens/3/single_word", true, {"added_tokens[3].single_word"});
  check_refused_value("/added_tokens/3/surprise", true, {"added_tokens[3].surprise"});
  check_refused_change(
      [](json& document) { document["added_tokens"].push_back(document["added_tokens"][3]); },
      {"twice"});
}

BOOST_AUTO_TEST_CASE(a_control_token_that_text_can_make_is_refused) {
  const auto added = [](const std::string& content, std::size_t id) {
    return json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  check_refused_change(
      [&](json& document) {
        const json id = document["model"]["vocab"]["user"];
        document["added_tokens"].push_back(added("user", id.get<std::size_t>()));
      },
      {"\"user\"", "merge 2"});
  check_refused_change(
      [&](json& document) {
        const json id = document["model"]["vocab"]["a"];
        document["added_tokens"].push_back(added("a", id.get<std::size_t>()));
      },
      {"\"a\"", "one character"});
  check_refused_change(
      [&](json& document) {
        const json id = document["model"]["vocab"]["<0x41>"];
        document["added_tokens"].push_back(added("<0x41>", id.get<std::size_t>()));
      },
      {"<0x41>", "byte fallback"});
  check_refused_change(
      [](json& document) {
        document["model"]["byte_fallback"] = false;
        document["model"]["unk_token"] = "<turn|>";
      },
      {"<turn|>", "model.unk_token"});
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read_are_refused) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "captiond-test-tokenizer";
  std::filesystem::create_directories(folder);
  const std::string missing = (folder / "missing.json").string();
  captiond::test::check_refusal([&] { Tokenizer::open(missing); }, missing, {});
  captiond::test::check_refusal([&] { Tokenizer::open(folder); }, folder.string(), {});
  const std::filesystem::path file = folder / "tokenizer.json";
  std::ofstream(file) << small_tokenizer_json().dump();
  BOOST_TEST(Tokenizer::open(file)->size() == small_tokenizer()->size());
  std::filesystem::remove_all(folder);
}
