#include "model/byte_pair_model.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "model/byte_token.h"
#include "model/checkpoint_error.h"
#include "model/json_object.h"
#include "model/utf8.h"

namespace captiond {

BytePairModel::BytePairModel(const TokenizerJson& json, const Vocabulary& vocabulary,
                             const std::filesystem::path& file)
    : vocabulary_(vocabulary),
      merges_(json, vocabulary, file),
      byte_fallback_(json.byte_fallback),
      fuse_unknown_(json.fuse_unknown) {
  const auto id = [&](std::string_view token, const char* why) {
    const std::optional<TokenId> found = vocabulary.find_in_model(token);
    if (!found) {
      throw CheckpointError(file.string() + ": model.vocab must have " + shown_text(token) +
                            " because of " + why + ", found no such entry.");
    }
    return *found;
  };
  if (json.unknown_token) unknown_id_ = id(*json.unknown_token, "model.unk_token");
  if (byte_fallback_) {
    for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      const std::string token = token_of_byte(static_cast<std::uint8_t>(byte));
      byte_ids_[byte] = id(token, "model.byte_fallback");
    }
  } else if (!unknown_id_) {
    throw CheckpointError(file.string() +
                          ": model.byte_fallback must be true or model.unk_token a string, found "
                          "neither; characters outside the vocabulary would vanish.");
  }
}

void BytePairModel::encode(std::string_view text, Scratch& scratch,
                           std::vector<TokenId>& out) const {
  std::vector<TokenId>& symbols = scratch.symbols;
  symbols.clear();
  read_symbols(text, symbols);
  // Pieces between places where nothing ever joins are merged one by one: in ordinary text these
  // are words, so that the working set stays small and time linear.
  std::size_t begin = 0;
  for (std::size_t i = 1; i < symbols.size(); ++i) {
    if (merges_.may_join(symbols[i - 1], symbols[i])) continue;
    scratch.merger.merge(std::span(symbols).subspan(begin, i - begin), out);
    begin = i;
  }
  scratch.merger.merge(std::span(symbols).subspan(begin), out);
}

void BytePairModel::read_symbols(std::string_view text, std::vector<TokenId>& symbols) const {
  symbols.reserve(text.size());
  bool after_unknown = false;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, first_utf8_unit(text).bytes);
    text.remove_prefix(character.size());
    const std::optional<TokenId> id = vocabulary_.find_in_model(character);
    if (id) {
      symbols.push_back(*id);
    } else {
      read_unknown(character, after_unknown, symbols);
    }
    after_unknown = !id;
  }
}

void BytePairModel::read_unknown(std::string_view character, bool after_unknown,
                                 std::vector<TokenId>& symbols) const {
  if (byte_fallback_) {
    for (const char byte : character) symbols.push_back(byte_ids_[static_cast<std::uint8_t>(byte)]);
  } else if (!(after_unknown && fuse_unknown_)) {
    symbols.push_back(*unknown_id_);
  }
}

}  // namespace captiond
