#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace captiond {

// A value, or a text in quotes, as it stands in a message: JSON, ASCII only, cut where it is long.
std::string shown(const nlohmann::json& value);
std::string shown_text(std::string_view text);

// Bounds of an integer, both ends allowed.
struct IntegerRange {
  std::int64_t lowest = 1;
  std::int64_t highest = std::numeric_limits<std::int32_t>::max();
};

// A JSON object of a checkpoint's file, read with checks: each getter throws CheckpointError with
// one sentence that names the file, the key with its path, what was expected and what was found.
// A key whose value is null counts as absent, as in transformers. Copies share the document.
class JsonObject {
 public:
  // Parses `text`, the content of `file` (used in messages only). The root must be an object; a key
  // twice in one object, nesting beyond 16 levels and more than a million values are refused, so
  // that what a file can cost is bounded.
  static JsonObject parse(std::string_view text, const std::filesystem::path& file);

  bool has(std::string_view key) const;    // there and not null
  bool names(std::string_view key) const;  // there, maybe null
  std::vector<std::string> keys() const;

  JsonObject object(std::string_view key) const;
  std::int64_t integer(std::string_view key, IntegerRange range = {}) const;
  std::int64_t integer_or(std::string_view key, std::int64_t fallback,
                          IntegerRange range = {}) const;
  double number(std::string_view key) const;           // finite
  double positive_number(std::string_view key) const;  // finite, above 0
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key, IntegerRange range) const;
  // An array of integers, or one integer alone; empty if the key is absent.
  std::vector<std::int64_t> integers_or_one(std::string_view key, IntegerRange range) const;

  // For a key that the engine knows with one value only: refuses any other; absent will do.
  void require(std::string_view key, const nlohmann::json& only) const;

  // The value of `key`, null if there is none. Borrowed from the document.
  const nlohmann::json& value(std::string_view key) const;

  // "text_config.layer_types": the way to `key` from the root of the file.
  std::string path_of(std::string_view key) const;
  const std::filesystem::path& file() const;

  // Throws "FILE: PATH must be EXPECTED, found VALUE.", with "; HINT" before the full stop if there
  // is one.
  [[noreturn]] void refuse(std::string_view key, std::string_view expected,
                           std::string_view hint = {}) const;

 private:
  struct Document;
  JsonObject(std::shared_ptr<const Document> document, const nlohmann::json* object,
             std::string path);

  std::int64_t to_integer(const nlohmann::json& value, std::string_view key, IntegerRange range,
                          std::string_view what) const;

  std::shared_ptr<const Document> document_;
  const nlohmann::json* object_;  // inside of document_
  std::string path_;              // empty at the root
};

}  // namespace captiond
