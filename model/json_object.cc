#include "model/json_object.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "model/checkpoint_error.h"

namespace captiond {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 16;
constexpr std::size_t kMostValues = 1'000'000;
constexpr std::size_t kLongestShown = 80;  // bytes of a string
constexpr std::size_t kMostShown = 8;      // elements of an array

// Watches the parser: what a document may cost is bounded, and a key that comes twice is refused
// where nlohmann would let the last one win.
class DocumentGuard {
 public:
  explicit DocumentGuard(const std::filesystem::path& file) : file_(file) {}

  void see(int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > kDeepest) {
      throw CheckpointError(file_.string() + ": expected JSON of at most " +
                            std::to_string(kDeepest) + " levels, found more.");
    }
    if (++values_ > kMostValues) {
      throw CheckpointError(file_.string() + ": expected JSON of at most " +
                            std::to_string(kMostValues) + " values, found more.");
    }
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key &&
        !open_.back().insert(parsed.get_ref<const std::string&>()).second) {
      throw CheckpointError(file_.string() + ": the key " + shown(parsed) +
                            " must stand once in its object, found it twice.");
    }
  }

 private:
  const std::filesystem::path& file_;
  std::size_t values_ = 0;
  std::vector<std::unordered_set<std::string>> open_;  // keys of the objects around this place
};

std::string place_of(std::string_view text, std::size_t byte) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i + 1 < byte && i < text.size(); ++i) {
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

std::string shown(const Json& value) {
  // Containers are described, not dumped: they may be huge.
  if (value.is_object()) return "an object of " + std::to_string(value.size()) + " keys";
  if (value.is_string()) return shown_text(value.get_ref<const std::string&>());
  if (!value.is_array()) return value.dump();
  const auto small = [](const Json& element) { return !element.is_structured(); };
  if (value.size() > kMostShown || !std::all_of(value.begin(), value.end(), small)) {
    return "an array of " + std::to_string(value.size()) + " values";
  }
  std::string text = "[";
  for (const Json& element : value) text += (text.size() > 1 ? ", " : "") + shown(element);
  return text + "]";
}

std::string shown_text(std::string_view text) {
  // The cut may fall into a character; the writer then puts U+FFFD there.
  const Json cut(std::string(text.substr(0, kLongestShown)));
  std::string result = cut.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongestShown) result.insert(result.size() - 1, "…");
  return result;
}

struct JsonObject::Document {
  explicit Document(std::filesystem::path path) : file(std::move(path)) {}
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  std::filesystem::path file;
  Json root;
};

JsonObject::JsonObject(std::shared_ptr<const Document> document, const Json* object,
                       std::string path)
    : document_(std::move(document)), object_(object), path_(std::move(path)) {}

JsonObject JsonObject::parse(std::string_view text, const std::filesystem::path& file) {
  // nlohmann takes a zero byte for the end of the text and would pass over all behind it.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw CheckpointError(file.string() + ": expected JSON, found a zero byte at " +
                          place_of(text, zero + 1) + ".");
  }
  auto document = std::make_shared<Document>(file);
  try {
    DocumentGuard guard(document->file);
    document->root = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& parsed) {
      guard.see(depth, event, parsed);
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw CheckpointError(file.string() + ": expected JSON, found a syntax error at " +
                          place_of(text, error.byte) + ".");
  } catch (const Json::exception&) {
    // The only other one that the parser throws.
    throw CheckpointError(file.string() +
                          ": expected numbers that fit a double, found a larger one.");
  }
  if (!document->root.is_object()) {
    throw CheckpointError(file.string() + ": expected a JSON object, found " +
                          shown(document->root) + ".");
  }
  const Json* root = &document->root;
  return JsonObject(std::move(document), root, "");
}

const Json& JsonObject::value(std::string_view key) const {
  static const Json null;
  const auto found = object_->find(key);
  return found == object_->end() ? null : *found;
}

bool JsonObject::has(std::string_view key) const { return !value(key).is_null(); }

bool JsonObject::names(std::string_view key) const { return object_->contains(key); }

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> keys;
  for (const auto& item : object_->items()) keys.push_back(item.key());
  return keys;
}

const std::filesystem::path& JsonObject::file() const { return document_->file; }

std::string JsonObject::path_of(std::string_view key) const {
  // Quotes and cuts what only a hostile file has.
  std::string name = shown_text(key);
  name = name.substr(1, name.size() - 2);
  return path_.empty() ? name : path_ + "." + name;
}

void JsonObject::refuse(std::string_view key, std::string_view expected,
                        std::string_view hint) const {
  std::string sentence = file().string() + ": " + path_of(key) + " must be ";
  sentence.append(expected).append(", found ");
  sentence += names(key) ? shown(value(key)) : "no such key";
  if (!hint.empty()) sentence.append("; ").append(hint);
  throw CheckpointError(sentence + ".");
}

JsonObject JsonObject::object(std::string_view key) const {
  const Json& found = value(key);
  if (!found.is_object()) refuse(key, "an object");
  return JsonObject(document_, &found, path_of(key));
}

std::int64_t JsonObject::to_integer(const Json& found, std::string_view key, IntegerRange range,
                                    std::string_view what) const {
  const auto inside = [&]() -> std::optional<std::int64_t> {
    if (!found.is_number_integer()) return std::nullopt;
    if (found.is_number_unsigned() &&
        found.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
    const auto number = found.get<std::int64_t>();
    if (number < range.lowest || number > range.highest) return std::nullopt;
    return number;
  }();
  if (!inside) {
    refuse(key, std::string(what) + " from " + std::to_string(range.lowest) + " to " +
                    std::to_string(range.highest));
  }
  return *inside;
}

std::int64_t JsonObject::integer(std::string_view key, IntegerRange range) const {
  return to_integer(value(key), key, range, "an integer");
}

std::int64_t JsonObject::integer_or(std::string_view key, std::int64_t fallback,
                                    IntegerRange range) const {
  return has(key) ? integer(key, range) : fallback;
}

double JsonObject::number(std::string_view key) const {
  const Json& found = value(key);
  if (!found.is_number() || !std::isfinite(found.get<double>())) refuse(key, "a number");
  return found.get<double>();
}

double JsonObject::positive_number(std::string_view key) const {
  const double positive = number(key);
  if (!(positive > 0)) refuse(key, "a number above 0");
  return positive;
}

bool JsonObject::boolean(std::string_view key) const {
  const Json& found = value(key);
  if (!found.is_boolean()) refuse(key, "true or false");
  return found.get<bool>();
}

std::string JsonObject::string(std::string_view key) const {
  const Json& found = value(key);
  if (!found.is_string()) refuse(key, "a string");
  return found.get<std::string>();
}

std::vector<std::string> JsonObject::strings(std::string_view key) const {
  const Json& found = value(key);
  if (!found.is_array()) refuse(key, "an array of strings");
  std::vector<std::string> result;
  result.reserve(found.size());
  for (const Json& element : found) {
    if (!element.is_string()) refuse(key, "an array of strings");
    result.push_back(element.get<std::string>());
  }
  return result;
}

std::vector<std::int64_t> JsonObject::integers(std::string_view key, IntegerRange range) const {
  const Json& found = value(key);
  if (!found.is_array()) refuse(key, "an array of integers");
  std::vector<std::int64_t> result;
  result.reserve(found.size());
  for (const Json& element : found) {
    result.push_back(to_integer(element, key, range, "an array of integers"));
  }
  return result;
}

std::vector<std::int64_t> JsonObject::integers_or_one(std::string_view key,
                                                      IntegerRange range) const {
  if (!has(key)) return {};
  if (value(key).is_array()) return integers(key, range);
  return {integer(key, range)};
}

void JsonObject::require(std::string_view key, const Json& only) const {
  if (!has(key) || value(key) == only) return;
  refuse(key, only.is_null() ? "absent or null" : shown(only),
         "this engine implements nothing else");
}

}  // namespace captiond
