#include "tests/support/word_tokenizer.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "model/chat_markers.h"

namespace captiond {
namespace {

using nlohmann::json;

constexpr const char* kSpace = "▁";

// Of UTF-8, by its first byte.
std::size_t character_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
}

class Builder {
 public:
  Builder() {
    add("<pad>");
    add("<unk>");
    for (const std::string_view marker : chat_markers::kAll) {
      added_.push_back({{"id", vocabulary_.size()},
                        {"content", marker},
                        {"single_word", false},
                        {"lstrip", false},
                        {"rstrip", false},
                        {"normalized", false},
                        {"special", true}});
      add(std::string(marker));
    }
    for (int byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
      add(name);
    }
    add(kSpace);
    add("\n");
    for (char c = 33; c < 127; ++c) add(std::string(1, c));
  }

  void add_word(const std::string& word) {
    std::string begun;
    for (std::size_t i = 0; i < word.size();) {
      const std::string character = word.substr(i, character_length(word[i]));
      add(character);
      if (!begun.empty()) merge(begun, character);
      begun += character;
      i += character.size();
    }
    merge(kSpace, word);
  }

  std::string file() const {
    const json decoders =
        json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                     {{"type", "ByteFallback"}},
                     {{"type", "Fuse"}}});
    return json{
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", added_},
        {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}}},
        {"pre_tokenizer", nullptr},
        {"post_processor", nullptr},
        {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
        {"model",
         {{"type", "BPE"},
          {"unk_token", "<unk>"},
          {"fuse_unk", true},
          {"byte_fallback", true},
          {"vocab", vocabulary_},
          {"merges", merges_}}}}
        .dump();
  }

 private:
  void add(const std::string& token) {
    if (!vocabulary_.contains(token)) vocabulary_[token] = vocabulary_.size();
  }
  void merge(const std::string& left, const std::string& right) {
    if (vocabulary_.contains(left + right)) return;
    add(left + right);
    merges_.push_back(json::array({left, right}));
  }

  json vocabulary_ = json::object();
  json added_ = json::array();
  json merges_ = json::array();
};

}  // namespace

std::shared_ptr<const Tokenizer> make_word_tokenizer(std::string_view words) {
  Builder builder;
  std::istringstream stream{std::string(words)};
  for (std::string word; stream >> word;) builder.add_word(word);
  return Tokenizer::parse(builder.file(), "word_tokenizer.json");
}

}  // namespace captiond
