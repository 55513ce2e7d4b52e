#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "model/byte_pair_merger.h"
#include "model/merge_table.h"
#include "model/token.h"
#include "model/tokenizer_json.h"
#include "model/vocabulary.h"

namespace captiond {

// Normalised text without added tokens to ids: characters, what is not in the vocabulary as bytes
// or as <unk>, then merges. Immutable and safe from any thread.
class BytePairModel {
 public:
  // Working memory of encode(), to be reused from call to call.
  struct Scratch {
    explicit Scratch(const BytePairModel& model) : merger(model.merges_) {}
    BytePairMerger merger;
    std::vector<TokenId> symbols;
  };

  // `vocabulary` must outlive the model. Throws CheckpointError.
  BytePairModel(const TokenizerJson& json, const Vocabulary& vocabulary,
                const std::filesystem::path& file);

  // Appends the ids of `text`, valid UTF-8.
  void encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;

  const MergeTable& merges() const { return merges_; }
  // What a character outside the vocabulary becomes; nullopt where that is bytes.
  std::optional<TokenId> unknown_id() const { return byte_fallback_ ? std::nullopt : unknown_id_; }

 private:
  void read_symbols(std::string_view text, std::vector<TokenId>& symbols) const;
  void read_unknown(std::string_view character, bool after_unknown,
                    std::vector<TokenId>& symbols) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  bool byte_fallback_;
  bool fuse_unknown_;
  std::array<TokenId, 256> byte_ids_{};  // if byte_fallback_
  std::optional<TokenId> unknown_id_;
};

}  // namespace captiond
