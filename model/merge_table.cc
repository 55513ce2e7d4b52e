#include "model/merge_table.h"

#include <bit>
#include <optional>
#include <string>
#include <string_view>

#include "model/byte_token.h"
#include "model/checkpoint_error.h"
#include "model/json_object.h"
#include "model/utf8.h"

namespace captiond {
namespace {

// Never a pair: ids are not negative.
constexpr std::uint64_t kEmpty = UINT64_MAX;

std::uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

std::string_view first_character(std::string_view text) {
  return text.substr(0, first_utf8_unit(text).bytes);
}

// `text` is valid UTF-8, as all strings of a parsed JSON file are.
std::string_view last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

std::string merge_name(std::size_t index, std::string_view left, std::string_view right) {
  return "merge " + std::to_string(index) + " of model.merges, " + shown_text(left) + " and " +
         shown_text(right) + ", ";
}

}  // namespace

void MergeTable::PairMap::reserve(std::size_t count) {
  const std::size_t slots = std::bit_ceil(2 * count + 2);
  pairs.assign(slots, kEmpty);
  values.assign(slots, kNoMerge);
  shift = 64 - std::countr_zero(slots);
}

std::size_t MergeTable::PairMap::slot_of(std::uint64_t pair) const {
  const std::size_t mask = pairs.size() - 1;
  // Fibonacci hashing; ids are small, so the low bits alone would collide.
  std::size_t slot = static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15u) >> shift);
  while (pairs[slot] != pair && pairs[slot] != kEmpty) slot = (slot + 1) & mask;
  return slot;
}

std::uint32_t MergeTable::PairMap::find(std::uint64_t pair) const { return values[slot_of(pair)]; }

void MergeTable::PairMap::set(std::uint64_t pair, std::uint32_t value) {
  const std::size_t slot = slot_of(pair);
  pairs[slot] = pair;
  values[slot] = value;
}

MergeTable::MergeTable(const TokenizerJson& json, const Vocabulary& vocabulary,
                       const std::filesystem::path& file) {
  ranks_.reserve(json.merges());
  junctions_.reserve(json.merges());
  merged_.reserve(json.merges());
  std::string whole;
  for (std::size_t i = 0; i < json.merges(); ++i) {
    const std::string_view left = json.merge_parts[2 * i];
    const std::string_view right = json.merge_parts[2 * i + 1];
    const auto id = [&](std::string_view token) {
      const std::optional<TokenId> found = vocabulary.find_in_model(token);
      if (!found) {
        throw CheckpointError(file.string() + ": " + merge_name(i, left, right) +
                              "must be of tokens in model.vocab, found none for " +
                              shown_text(token) + ".");
      }
      return *found;
    };
    for (const std::string_view part : {left, right}) {
      // A byte token stands for part of a character and <unk> for any: a merge of one would not
      // be a merge of its text, which may_join() relies on.
      if (part.empty() || (json.byte_fallback && byte_of_token(part)) ||
          part == json.unknown_token) {
        throw CheckpointError(file.string() + ": " + merge_name(i, left, right) +
                              "must join tokens that stand for text, found " + shown_text(part) +
                              ".");
      }
    }
    const TokenId left_id = id(left);
    const TokenId right_id = id(right);
    whole.assign(left).append(right);
    merged_.push_back(id(whole));
    ranks_.set(pair_key(left_id, right_id), static_cast<std::uint32_t>(i));
    const std::optional<TokenId> last = vocabulary.find_in_model(last_character(left));
    const std::optional<TokenId> first = vocabulary.find_in_model(first_character(right));
    // A character that the model does not have never starts out as a token of its own.
    if (last && first) junctions_.set(pair_key(*last, *first), 0);
  }
}

std::uint32_t MergeTable::rank(TokenId left, TokenId right) const {
  return ranks_.find(pair_key(left, right));
}

bool MergeTable::may_join(TokenId left, TokenId right) const {
  return junctions_.find(pair_key(left, right)) != kNoMerge;
}

}  // namespace captiond
