#include "model/tokenizer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "model/added_token_matcher.h"
#include "model/byte_pair_model.h"
#include "model/byte_token.h"
#include "model/chat_markers.h"
#include "model/checkpoint_error.h"
#include "model/json_object.h"
#include "model/regular_file.h"
#include "model/tokenizer_json.h"
#include "model/utf8.h"
#include "model/vocabulary.h"
#include "model/white_space.h"

namespace captiond {
namespace {

constexpr std::string_view kSpaceMark = "▁";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void append_replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::string& out) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t found = std::min(text.find(from, begin), text.size());
    out += text.substr(begin, found - begin);
    if (found < text.size()) out += to;
    begin = found + from.size();
  }
}

std::string normalised(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  append_replaced(text, " ", kSpaceMark, out);
  return out;
}

// Appends a whole run of byte tokens and empties it.
void flush_bytes(std::string& bytes, std::string& out) {
  if (is_valid_utf8(bytes)) {
    out += bytes;
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i) out += kReplacement;
  }
  bytes.clear();
}

std::vector<AddedTokenMatcher::Pattern> patterns_of(const TokenizerJson& json, bool normalise) {
  std::vector<AddedTokenMatcher::Pattern> patterns;
  for (const AddedToken& token : json.added_tokens) {
    if (token.normalized != normalise) continue;
    patterns.push_back({normalise ? normalised(token.content) : token.content, token.id,
                        token.lstrip, token.rstrip});
  }
  return patterns;
}

}  // namespace

struct Tokenizer::Tables {
  Tables(const TokenizerJson& json, const std::filesystem::path& file);

  enum class Special { kRecognised, kPlain };

  // Cuts `text` at what `matcher` finds: appends the ids of added tokens, hands what lies between
  // them to `rest`.
  template <typename Rest>
  void split(const AddedTokenMatcher& matcher, std::string_view text, Special special,
             std::vector<TokenId>& out, const Rest& rest) const;
  std::vector<TokenId> encode(std::string_view text, Special special) const;
  void check_plain_text(const std::filesystem::path& file) const;

  Vocabulary vocabulary;
  BytePairModel model;
  AddedTokenMatcher raw_tokens;         // looked for in the text as it is
  AddedTokenMatcher normalised_tokens;  // looked for after " " has become "▁"
  std::vector<bool> special;            // per id
  std::vector<bool> reserved;           // per id: special, or a marker of the chat format
  bool ignore_merges;
};

Tokenizer::Tables::Tables(const TokenizerJson& json, const std::filesystem::path& file)
    : vocabulary(json, file),
      model(json, vocabulary, file),
      raw_tokens(patterns_of(json, false)),
      normalised_tokens(patterns_of(json, true)),
      special(vocabulary.size(), false),
      ignore_merges(json.ignore_merges) {
  for (const AddedToken& token : json.added_tokens) {
    if (token.special) special[static_cast<std::size_t>(token.id)] = true;
  }
  reserved = special;
  for (const std::string_view marker : chat_markers::kAll) {
    const std::optional<TokenId> id = vocabulary.find(marker);
    if (id) reserved[static_cast<std::size_t>(*id)] = true;
  }
  check_plain_text(file);
}

// Holds encode_plain()'s promise: merges, single characters and unknown ones never make a reserved
// token.
void Tokenizer::Tables::check_plain_text(const std::filesystem::path& file) const {
  const auto refuse = [&](TokenId id, const std::string& how) {
    throw CheckpointError(file.string() + ": the special token " +
                          shown_text(vocabulary.token(id)) +
                          " must not be made of ordinary text, found that " + how +
                          " makes it; whoever writes it could then steer the model.");
  };
  for (std::size_t rank = 0; rank < model.merges().size(); ++rank) {
    const TokenId id = model.merges().merged(static_cast<std::uint32_t>(rank));
    if (reserved[static_cast<std::size_t>(id)]) refuse(id, "merge " + std::to_string(rank));
  }
  for (std::size_t i = 0; i < reserved.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view text = vocabulary.token(id);
    if (!reserved[i] || text.empty()) continue;
    if (first_utf8_unit(text).bytes == text.size()) refuse(id, "its one character");
    if (byte_of_token(text)) refuse(id, "byte fallback");
  }
  // <unk> itself is special and may come of anything.
  for (const std::string_view marker : chat_markers::kAll) {
    const std::optional<TokenId> id = vocabulary.find(marker);
    if (id && id == model.unknown_id()) refuse(*id, "model.unk_token");
  }
}

template <typename Rest>
void Tokenizer::Tables::split(const AddedTokenMatcher& matcher, std::string_view text, Special mode,
                              std::vector<TokenId>& out, const Rest& rest) const {
  std::size_t done = 0;  // text before this is encoded
  std::size_t from = 0;  // matches are looked for from here
  while (from < text.size()) {
    const AddedTokenMatcher::Match match = matcher.find(text, from);
    if (match.pattern == nullptr) break;
    from = match.end;
    const TokenId id = match.pattern->id;
    if (mode == Special::kPlain && reserved[static_cast<std::size_t>(id)]) continue;
    // A token inside of white space that the one before has taken along still counts; no byte is
    // looked at twice for it.
    std::size_t begin = match.begin;
    std::size_t end = match.end;
    if (match.pattern->lstrip && done < begin) {
      begin = done + white_space_before(text.substr(done), begin - done);
    }
    if (match.pattern->rstrip) end = end < done ? done : white_space_after(text, end);
    if (done < begin) rest(text.substr(done, begin - done));
    out.push_back(id);
    done = end;
  }
  if (done < text.size()) rest(text.substr(done));
}

std::vector<TokenId> Tokenizer::Tables::encode(std::string_view text, Special mode) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  std::vector<TokenId> out;
  BytePairModel::Scratch scratch(model);
  const auto encode_word = [&](std::string_view word) {
    if (ignore_merges) {
      const std::optional<TokenId> id = vocabulary.find_in_model(word);
      if (id && !(mode == Special::kPlain && reserved[static_cast<std::size_t>(*id)])) {
        out.push_back(*id);
        return;
      }
    }
    model.encode(word, scratch, out);
  };
  split(raw_tokens, text, mode, out, [&](std::string_view gap) {
    split(normalised_tokens, normalised(gap), mode, out, encode_word);
  });
  return out;
}

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::open(const std::filesystem::path& tokenizer_json) {
  // Gemma's file has 33 MB.
  constexpr std::size_t kBytesMax = std::size_t{256} << 20;
  const std::string text = RegularFile(tokenizer_json).read(kBytesMax);
  return parse(text, tokenizer_json);
}

std::shared_ptr<const Tokenizer> Tokenizer::parse(std::string_view json,
                                                  const std::filesystem::path& file) {
  auto tables = std::make_unique<const Tables>(parse_tokenizer_json(json, file), file);
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(tables)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  return tables_->encode(text, Tables::Special::kRecognised);
}

std::vector<TokenId> Tokenizer::encode_plain(std::string_view text) const {
  return tables_->encode(text, Tables::Special::kPlain);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool keep_special) const {
  std::string out;
  std::string bytes;
  for (const TokenId id : ids) {
    if (!tables_->vocabulary.contains(id) || (!keep_special && is_special(id))) continue;
    const std::string_view token = tables_->vocabulary.token(id);
    if (const std::optional<std::uint8_t> byte = byte_of_token(token)) {
      bytes += static_cast<char>(*byte);
      continue;
    }
    flush_bytes(bytes, out);
    append_replaced(token, kSpaceMark, " ", out);
  }
  flush_bytes(bytes, out);
  return out;
}

std::optional<TokenId> Tokenizer::find(std::string_view token) const {
  return tables_->vocabulary.find(token);
}

std::string_view Tokenizer::token(TokenId id) const { return tables_->vocabulary.token(id); }

bool Tokenizer::contains(TokenId id) const { return tables_->vocabulary.contains(id); }

std::size_t Tokenizer::size() const { return tables_->vocabulary.size(); }

bool Tokenizer::is_special(TokenId id) const {
  return tables_->vocabulary.contains(id) && tables_->special[static_cast<std::size_t>(id)];
}

}  // namespace captiond
