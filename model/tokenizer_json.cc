#include "model/tokenizer_json.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/checkpoint_error.h"
#include "model/json_object.h"
#include "model/tokenizer_json_reader.h"

namespace captiond {
namespace {

using nlohmann::json;

// Looking for added tokens may take as many steps a byte of text as the longest of them has bytes.
// Gemma's longest has 93.
constexpr std::size_t kContentBytesMax = 1024;

[[noreturn]] void refuse_value(const std::filesystem::path& file, const std::string& key,
                               const std::string& expected, const json& found) {
  throw CheckpointError(file.string() + ": " + (key.empty() ? "the root" : key) + " must be " +
                        expected + ", found " + shown(found) + ".");
}

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

// Throws unless `found` is `expected`, naming the innermost key that differs.
void expect_equal(const std::filesystem::path& file, const std::string& path, const json& expected,
                  const json& found) {
  if (expected == found) return;
  if (expected.is_object() && found.is_object()) {
    for (const auto& [key, value] : found.items()) {
      if (!expected.contains(key)) refuse_value(file, joined(path, key), "absent", value);
    }
    for (const auto& [key, value] : expected.items()) {
      expect_equal(file, joined(path, key), value, found.value(key, json()));
    }
  } else if (expected.is_array() && found.is_array() && expected.size() == found.size()) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expect_equal(file, path + "[" + std::to_string(i) + "]", expected[i], found[i]);
    }
  }
  refuse_value(file, path, expected.dump(-1, ' ', true), found);
}

// One object of the file, read with checks that name the key in full.
class Section {
 public:
  Section(const json& object, std::string path, const std::filesystem::path& file)
      : object_(object), path_(std::move(path)), file_(file) {
    if (!object_.is_object()) refuse_value(file_, path_, "an object", object_);
  }

  // Refuses keys outside `known`: what this reader does not know may change ids.
  void expect_keys(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) refuse(key, "absent");
    }
  }

  bool has(const char* key) const { return object_.contains(key); }

  // The value of `key`; null where the file does not have it.
  json at(const std::string& key) const { return object_.value(key, json()); }

  void expect(const char* key, const json& expected) const {
    expect_equal(file_, joined(path_, key), expected, at(key));
  }

  void expect_absent_or(const char* key, const json& expected) const {
    if (!at(key).is_null()) expect(key, expected);
  }

  bool boolean(const char* key) const {
    if (!at(key).is_boolean()) refuse(key, "true or false");
    return at(key).get<bool>();
  }

  std::string string(const char* key) const {
    if (!at(key).is_string()) refuse(key, "a string");
    return at(key).get<std::string>();
  }

  TokenId id(const char* key) const {
    const json value = at(key);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT32_MAX) {
      refuse(key, "an id, a whole number from 0");
    }
    return value.get<TokenId>();
  }

  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    refuse_value(file_, joined(path_, key), expected, at(key));
  }

 private:
  const json& object_;
  std::string path_;
  const std::filesystem::path& file_;
};

std::vector<AddedToken> read_added_tokens(const json& list, const std::filesystem::path& file) {
  std::vector<AddedToken> tokens;
  if (list.is_null()) return tokens;
  if (!list.is_array()) refuse_value(file, "added_tokens", "an array", list);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Section entry(list[i], "added_tokens[" + std::to_string(i) + "]", file);
    entry.expect_keys(
        {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.id = entry.id("id");
    token.content = entry.string("content");
    token.special = entry.boolean("special");
    token.normalized = entry.boolean("normalized");
    token.lstrip = entry.boolean("lstrip");
    token.rstrip = entry.boolean("rstrip");
    // single_word asks for Unicode's word characters; no Gemma tokenizer uses it.
    entry.expect("single_word", false);
    if (token.content.empty() || token.content.size() > kContentBytesMax) {
      entry.refuse("content", "a string of 1 to " + std::to_string(kContentBytesMax) + " bytes");
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void check_pipeline(const Section& whole, const std::filesystem::path& file) {
  whole.expect_keys({"version", "truncation", "padding", "added_tokens", "normalizer",
                     "pre_tokenizer", "post_processor", "decoder", "model"});
  whole.expect("version", "1.0");
  whole.expect("truncation", nullptr);
  if (!whole.at("padding").is_null()) {
    // Padding to the longest of a batch does nothing to one text; a fixed length would.
    const json padding = whole.at("padding");
    Section(padding, "padding", file).expect("strategy", "BatchLongest");
  }
  whole.expect("normalizer",
               {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}});
  // After the normaliser no space is left, so this split never cuts.
  whole.expect_absent_or("pre_tokenizer", {{"type", "Split"},
                                           {"pattern", {{"String", " "}}},
                                           {"behavior", "MergedWithPrevious"},
                                           {"invert", false}});
  const json decoders =
      json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}});
  whole.expect("decoder", {{"type", "Sequence"}, {"decoders", decoders}});
}

void read_model(const Section& model, TokenizerJson& out) {
  model.expect("type", "BPE");
  model.expect_keys({"type", "dropout", "unk_token", "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                     "merges"});
  model.expect_absent_or("dropout", 0.0);
  model.expect_absent_or("continuing_subword_prefix", "");
  model.expect_absent_or("end_of_word_suffix", "");
  if (!model.at("unk_token").is_null()) out.unknown_token = model.string("unk_token");
  // The three flags are false where an older file leaves them out.
  if (model.has("fuse_unk")) out.fuse_unknown = model.boolean("fuse_unk");
  if (model.has("byte_fallback")) out.byte_fallback = model.boolean("byte_fallback");
  if (model.has("ignore_merges")) out.ignore_merges = model.boolean("ignore_merges");
  if (!model.at("vocab").is_object()) {
    model.refuse("vocab", "an object of tokens and their ids");
  }
  if (!model.at("merges").is_array()) {
    model.refuse("merges", "an array of pairs of tokens");
  }
}

}  // namespace

TokenizerJson parse_tokenizer_json(std::string_view text, const std::filesystem::path& file) {
  TokenizerJsonReader reader(file);
  reader.read(text);
  const Section whole(reader.document, "", file);
  check_pipeline(whole, file);
  TokenizerJson out;
  const json model = whole.at("model");
  read_model(Section(model, "model", file), out);
  out.added_tokens = read_added_tokens(whole.at("added_tokens"), file);
  out.tokens = std::move(reader.tokens);
  out.ids = std::move(reader.ids);
  out.merge_parts = std::move(reader.merge_parts);
  return out;
}

}  // namespace captiond
