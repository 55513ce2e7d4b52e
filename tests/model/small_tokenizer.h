#pragma once

#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_markers.h"
#include "model/tokenizer.h"

namespace captiond::test {

// A tokenizer.json with the settings of Gemma's: <unk>, the 256 byte tokens, the characters and
// merges of a few words, and the markers of the chat format as special tokens.
inline nlohmann::json small_tokenizer_json() {
  using nlohmann::json;
  json vocab = json::object();
  json added = json::array();
  const auto id = [&](const std::string& token) {
    if (!vocab.contains(token)) vocab[token] = vocab.size();
    return vocab[token];
  };
  const auto add = [&](const std::string& token, bool special) {
    added.push_back({{"id", id(token)},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  };
  add("<pad>", true);
  add("<unk>", true);
  for (const std::string_view marker : chat_markers::kAll) add(std::string(marker), true);
  for (const char* newlines : {"\n", "\n\n", "\n\n\n"}) add(newlines, false);
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof token, "<0x%02X>", byte);
    id(token);
  }
  for (char c = 'a'; c <= 'z'; ++c) id(std::string(1, c));
  for (const char* character : {"▁", "H", ",", ".", ":", "{", "}", "[", "]", "<", ">", "|", "é"}) {
    id(character);
  }
  json merges = json::array();
  for (const char* word : {"user", "model", "thought", "system", "▁hello", "Hello", "▁"}) {
    std::string whole;
    for (std::string_view rest = word; !rest.empty();) {
      const std::size_t bytes = rest.starts_with("▁") ? 3 : 1;
      const std::string character(rest.substr(0, bytes));
      rest.remove_prefix(bytes);
      if (!whole.empty()) merges.push_back({whole, character});
      whole += character;
      id(whole);
    }
  }
  const json space = {{"String", " "}};
  const json decoders = {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                         {{"type", "ByteFallback"}},
                         {{"type", "Fuse"}}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "Replace"}, {"pattern", space}, {"content", "▁"}}},
          {"pre_tokenizer",
           {{"type", "Split"},
            {"pattern", space},
            {"behavior", "MergedWithPrevious"},
            {"invert", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

inline std::shared_ptr<const Tokenizer> small_tokenizer() {
  return Tokenizer::parse(small_tokenizer_json().dump(), "tokenizer.json");
}

}  // namespace captiond::test
