#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/string_pool.h"

namespace captiond {

// Reads a tokenizer.json in one pass: model.vocab and model.merges go straight into pools, the rest
// becomes a small document. A whole document of Gemma's file would be 800,000 heap nodes.
//
// Every callback throws CheckpointError for a wrong type at its place; nothing is skipped.
class TokenizerJsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  // `file` is used in messages only and must outlive the reader.
  explicit TokenizerJsonReader(const std::filesystem::path& file) : file_(file) {}

  void read(std::string_view json);

  // The results, complete after read(). In `document`, model.vocab and model.merges are empty.
  nlohmann::json document;
  StringPool tokens;
  std::vector<std::int64_t> ids;
  StringPool merge_parts;

  bool null() override;
  bool boolean(bool value) override;
  bool number_integer(std::int64_t value) override;
  bool number_unsigned(std::uint64_t value) override;
  bool number_float(double value, const std::string& text) override;
  bool string(std::string& value) override;
  bool binary(nlohmann::json::binary_t& value) override;
  bool start_object(std::size_t elements) override;
  bool key(std::string& name) override;
  bool end_object() override;
  bool start_array(std::size_t elements) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& error) override;

 private:
  enum class Place { kDocument, kVocabulary, kMerges, kMergePair };

  bool at_model_key(std::string_view name) const;
  nlohmann::json& add(nlohmann::json value);
  void add_scalar(nlohmann::json value);
  void add_merge_text(std::string_view text);
  [[noreturn]] void refuse(const std::string& sentence) const;
  // Names the merge that is being read.
  [[noreturn]] void refuse_merge(const std::string& what) const;

  const std::filesystem::path& file_;
  Place place_ = Place::kDocument;
  std::vector<nlohmann::json*> open_;  // into `document`, outermost first
  std::string key_;                    // of the next value in the innermost open object
  std::string token_;                  // in the vocabulary, the token whose id comes next
  std::size_t pair_parts_ = 0;         // strings seen in the open pair
  enum class MergeForm { kUnknown, kText, kPair } merge_form_ = MergeForm::kUnknown;
};

}  // namespace captiond
