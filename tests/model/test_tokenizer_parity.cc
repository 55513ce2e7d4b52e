// Every id and every decoded text equal to Hugging Face `tokenizers`, whose answers
// make_tokenizer_cases.py has written. Argument: the folder that it wrote.

#define BOOST_TEST_MODULE tokenizer_parity
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/text_stream.h"
#include "model/tokenizer.h"

namespace {

using captiond::TextStream;
using captiond::TokenId;
using captiond::Tokenizer;

std::filesystem::path cases_folder() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return suite.argc > 1 ? suite.argv[1] : CAPTIOND_TOKENIZER_CASES;
}

// A skip must look like a skip: ctest reads exit code 77.
struct SkipWithoutData {
  SkipWithoutData() {
    std::ifstream reason(cases_folder() / "skipped.txt");
    if (!reason) return;
    std::stringstream text;
    text << reason.rdbuf();
    std::printf("skipped: %s\n", text.str().c_str());
    std::exit(77);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(SkipWithoutData);

class CaseFile {
 public:
  explicit CaseFile(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    BOOST_REQUIRE(in);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }

  std::uint32_t number() {
    std::uint32_t value = 0;
    BOOST_REQUIRE(place_ + sizeof value <= bytes_.size());
    std::memcpy(&value, bytes_.data() + place_, sizeof value);
    place_ += sizeof value;
    return value;
  }

  std::string bytes() {
    const std::uint32_t size = number();
    BOOST_REQUIRE(place_ + size <= bytes_.size());
    place_ += size;
    return bytes_.substr(place_ - size, size);
  }

  std::vector<TokenId> ids() {
    std::vector<TokenId> ids(number());
    for (TokenId& id : ids) id = static_cast<TokenId>(number());
    return ids;
  }

  bool at_end() const { return place_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t place_ = 0;
};

std::string shown(const std::vector<TokenId>& ids) {
  std::string text;
  for (const TokenId id : ids) text += std::to_string(id) + " ";
  return text;
}

std::string shown(const std::string& bytes) {
  std::string text;
  char hex[8];
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    std::snprintf(hex, sizeof hex, byte >= 0x20 && byte < 0x7F ? "%c" : "\\x%02x", byte);
    text += hex;
  }
  return text;
}

// Counts differences and shows the first few: 24,000 messages help nobody.
template <typename Value>
void compare(const Value& found, const Value& expected, const std::string& what,
             std::size_t& differences) {
  if (found == expected) return;
  if (++differences <= 5) {
    BOOST_TEST_MESSAGE(what << "\n  expected " << shown(expected) << "\n  found    "
                            << shown(found));
  }
}

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer,
                     const std::vector<TokenId>& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += stream.put(id);
  return text + stream.finish();
}

// With ignore_merges, `tokenizers` makes a special token of a text that spells just that even when
// told to encode special tokens as text. encode_plain() never does; nothing else may differ.
void compare_plain(const Tokenizer& tokenizer, const std::string& text,
                   const std::vector<TokenId>& expected, std::size_t& differences) {
  // <unk> may come of a character that the vocabulary lacks, so only its spelling tells.
  const std::optional<TokenId> unknown = tokenizer.find("<unk>");
  const auto special = [&](TokenId id) { return tokenizer.is_special(id) && id != unknown; };
  const std::vector<TokenId> found = tokenizer.encode_plain(text);
  if (std::any_of(found.begin(), found.end(), special)) {
    BOOST_ERROR("encode_plain makes a special token of " << shown(text));
  }
  if (text.find("<unk>") != std::string::npos) return;
  if (std::any_of(expected.begin(), expected.end(), special)) return;
  compare(found, expected, "encode_plain " + shown(text), differences);
}

// Texts compared.
std::size_t compare_folder(const std::filesystem::path& folder) {
  const auto tokenizer = Tokenizer::open(folder / "tokenizer.json");
  CaseFile cases(folder / "cases.bin");
  std::size_t differences = 0;
  const std::uint32_t texts = cases.number();
  for (std::uint32_t i = 0; i < texts; ++i) {
    const std::string text = cases.bytes();
    compare(tokenizer->encode(text), cases.ids(), "encode " + shown(text), differences);
    compare_plain(*tokenizer, text, cases.ids(), differences);
  }
  const std::uint32_t decodes = cases.number();
  for (std::uint32_t i = 0; i < decodes; ++i) {
    const std::vector<TokenId> ids = cases.ids();
    const std::string text = cases.bytes();
    compare(tokenizer->decode(ids), text, "decode " + shown(ids), differences);
    compare(streamed(tokenizer, ids), text, "stream " + shown(ids), differences);
    compare(tokenizer->decode(ids, true), cases.bytes(), "decode, special kept, " + shown(ids),
            differences);
  }
  BOOST_TEST(cases.at_end());
  BOOST_TEST(decodes > 0u);
  BOOST_TEST(differences == 0u, folder.filename().string()
                                    << ": " << differences << " differences in " << texts
                                    << " texts and " << decodes << " decodes");
  return texts;
}

}  // namespace

BOOST_AUTO_TEST_CASE(ids_and_texts_equal_those_of_hugging_face_tokenizers) {
  std::size_t most_texts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cases_folder())) {
    if (entry.is_directory()) most_texts = std::max(most_texts, compare_folder(entry.path()));
  }
  // What issue and README promise.
  BOOST_TEST(most_texts >= 20000u);
}
