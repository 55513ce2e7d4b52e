#include "model/vocabulary.h"

#include <bit>
#include <functional>
#include <string>

#include "model/checkpoint_error.h"
#include "model/json_object.h"

namespace captiond {
namespace {

constexpr std::int32_t kNone = -1;

}  // namespace

Vocabulary::Vocabulary(const TokenizerJson& json, const std::filesystem::path& file) {
  const std::size_t entries = json.tokens.size() + json.added_tokens.size();
  slots_.assign(std::bit_ceil(2 * entries + 1), kNone);
  add_model_tokens(json, file);
  add_added_tokens(json, file);
}

void Vocabulary::add_model_tokens(const TokenizerJson& json, const std::filesystem::path& file) {
  model_size_ = json.tokens.size();
  texts_.assign(model_size_, kNone);
  std::vector<bool> given(model_size_, false);
  for (std::size_t i = 0; i < model_size_; ++i) {
    const std::string_view token = json.tokens[i];
    const auto id = static_cast<std::size_t>(json.ids[i]);
    if (id >= model_size_) {
      throw CheckpointError(file.string() + ": the id of " + shown_text(token) +
                            " in model.vocab must be 0 to " + std::to_string(model_size_ - 1) +
                            ", " + std::to_string(model_size_) + " entries without holes, found " +
                            std::to_string(id) + ".");
    }
    if (given[id]) {
      const std::string_view other = texts_[id] == kNone ? token : entry_text(texts_[id]);
      throw CheckpointError(file.string() + ": the id " + std::to_string(id) +
                            " of model.vocab must be that of one token, found " +
                            shown_text(other) + " and " + shown_text(token) + ".");
    }
    given[id] = true;
    std::int32_t& slot = slots_[slot_of(token)];
    if (slot != kNone)
      texts_[static_cast<std::size_t>(entry_ids_[static_cast<std::size_t>(slot)])] = kNone;
    slot = static_cast<std::int32_t>(i);
    texts_[id] = slot;
    entries_.push(token);
    entry_ids_.push_back(static_cast<TokenId>(id));
  }
}

void Vocabulary::add_added_tokens(const TokenizerJson& json, const std::filesystem::path& file) {
  std::vector<bool> seen(model_size_ + json.added_tokens.size(), false);
  for (const AddedToken& token : json.added_tokens) {
    const TokenId expected = find(token.content).value_or(static_cast<TokenId>(texts_.size()));
    if (token.id != expected) {
      throw CheckpointError(file.string() + ": the id of " + shown_text(token.content) +
                            " in added_tokens must be " + std::to_string(expected) +
                            (contains(expected) ? ", as in model.vocab" : ", the next free one") +
                            ", found " + std::to_string(token.id) + ".");
    }
    const auto index = static_cast<std::size_t>(expected);
    if (seen[index]) {
      throw CheckpointError(file.string() + ": " + shown_text(token.content) +
                            " must stand once in added_tokens, found it twice.");
    }
    seen[index] = true;
    if (contains(expected)) continue;
    const auto entry = static_cast<std::int32_t>(entries_.size());
    slots_[slot_of(token.content)] = entry;
    texts_.push_back(entry);
    entries_.push(token.content);
    entry_ids_.push_back(expected);
  }
}

std::size_t Vocabulary::slot_of(std::string_view token) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = std::hash<std::string_view>{}(token)&mask;
  while (slots_[slot] != kNone && entry_text(slots_[slot]) != token) slot = (slot + 1) & mask;
  return slot;
}

std::string_view Vocabulary::entry_text(std::int32_t entry) const {
  return entries_[static_cast<std::size_t>(entry)];
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  const std::int32_t entry = slots_[slot_of(token)];
  if (entry == kNone) return std::nullopt;
  return entry_ids_[static_cast<std::size_t>(entry)];
}

std::optional<TokenId> Vocabulary::find_in_model(std::string_view token) const {
  const std::optional<TokenId> id = find(token);
  if (id && static_cast<std::size_t>(*id) >= model_size_) return std::nullopt;
  return id;
}

bool Vocabulary::contains(TokenId id) const {
  return id >= 0 && static_cast<std::size_t>(id) < texts_.size() &&
         texts_[static_cast<std::size_t>(id)] != kNone;
}

std::string_view Vocabulary::token(TokenId id) const {
  return contains(id) ? entry_text(texts_[static_cast<std::size_t>(id)]) : std::string_view();
}

}  // namespace captiond
