#include "model/tool_call_reader.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/chat_markers.h"

namespace captiond {
namespace {

// Far above what a schema asks for; reading is recursive.
constexpr int kDepthMax = 64;

// A call as text outside of quotes and whole quoted strings, in turn.
struct Part {
  std::string text;
  bool quoted = false;
};

// nullopt where a quote is left open.
std::optional<std::vector<Part>> cut_at_quotes(const Tokenizer& tokenizer,
                                               std::span<const TokenId> ids) {
  const std::optional<TokenId> quote = tokenizer.find(chat_markers::kQuote);
  std::vector<Part> parts;
  std::size_t begin = 0;
  bool quoted = false;
  for (std::size_t i = 0; i <= ids.size(); ++i) {
    if (i < ids.size() && ids[i] != quote) continue;
    parts.push_back({tokenizer.decode(ids.subspan(begin, i - begin), true), quoted});
    quoted = !quoted;
    begin = i + 1;
  }
  if (parts.back().quoted) return std::nullopt;
  return parts;
}

// Recursive descent; every member returns nullopt or false where the text is not what it reads.
class CallParser {
 public:
  explicit CallParser(std::vector<Part> parts) : parts_(std::move(parts)) {}

  std::optional<ToolCall> call() {
    ToolCall call;
    if (!take("call:")) return std::nullopt;
    call.name = word("{");
    if (call.name.empty()) return std::nullopt;
    std::optional<ToolValue::Mapping> arguments = mapping(0);
    skip_space();
    if (!arguments || !at_end()) return std::nullopt;
    call.arguments = std::move(*arguments);
    return call;
  }

 private:
  bool at_end() const { return part_ + 1 == parts_.size() && place_ == parts_[part_].text.size(); }

  // What is left of the bare text that is being read.
  std::string_view rest() const {
    return parts_[part_].quoted ? std::string_view()
                                : std::string_view(parts_[part_].text).substr(place_);
  }

  void skip_space() {
    const std::size_t space = rest().find_first_not_of(" \t\r\n");
    place_ += std::min(space, rest().size());
  }

  bool take(std::string_view text) {
    skip_space();
    if (!rest().starts_with(text)) return false;
    place_ += text.size();
    return true;
  }

  // Bare text up to one of `ends`, without the white space around it.
  std::string word(std::string_view ends) {
    skip_space();
    const std::string_view text = rest().substr(0, rest().find_first_of(ends));
    place_ += text.size();
    return std::string(text.substr(0, text.find_last_not_of(" \t\r\n") + 1));
  }

  std::optional<std::string> quoted() {
    skip_space();
    if (!rest().empty() || part_ + 1 >= parts_.size() || !parts_[part_ + 1].quoted) {
      return std::nullopt;
    }
    std::string text = parts_[part_ + 1].text;
    part_ += 2;
    place_ = 0;
    return text;
  }

  std::optional<ToolValue::Mapping> mapping(int depth) {
    if (depth > kDepthMax || !take("{")) return std::nullopt;
    ToolValue::Mapping out;
    if (take("}")) return out;
    while (true) {
      ToolMember member;
      if (std::optional<std::string> key = quoted()) {
        member.key = std::move(*key);
      } else {
        member.key = word(":,{}[]");
        if (member.key.empty()) return std::nullopt;
      }
      if (!take(":")) return std::nullopt;
      std::optional<ToolValue> item = value(depth);
      if (!item) return std::nullopt;
      member.value = std::move(*item);
      for (const ToolMember& other : out) {
        if (other.key == member.key) return std::nullopt;
      }
      out.push_back(std::move(member));
      if (take("}")) return out;
      if (!take(",")) return std::nullopt;
    }
  }

  std::optional<ToolValue> list(int depth) {
    if (depth > kDepthMax || !take("[")) return std::nullopt;
    ToolValue::List out;
    if (take("]")) return ToolValue{std::move(out)};
    while (true) {
      std::optional<ToolValue> item = value(depth);
      if (!item) return std::nullopt;
      out.push_back(std::move(*item));
      if (take("]")) return ToolValue{std::move(out)};
      if (!take(",")) return std::nullopt;
    }
  }

  std::optional<ToolValue> value(int depth) {
    if (std::optional<std::string> text = quoted()) return ToolValue{std::move(*text)};
    if (rest().starts_with("[")) return list(depth + 1);
    if (rest().starts_with("{")) {
      std::optional<ToolValue::Mapping> members = mapping(depth + 1);
      if (!members) return std::nullopt;
      return ToolValue{std::move(*members)};
    }
    return literal(word(",}]"));
  }

  static std::optional<ToolValue> literal(const std::string& text) {
    if (text == "null") return ToolValue{};
    if (text == "true" || text == "false") return ToolValue{text == "true"};
    const char* end = text.data() + text.size();
    std::int64_t whole = 0;
    const std::from_chars_result as_whole = std::from_chars(text.data(), end, whole);
    if (as_whole.ec == std::errc() && as_whole.ptr == end) return ToolValue{whole};
    double number = 0;
    const std::from_chars_result as_number = std::from_chars(text.data(), end, number);
    const bool whole_text = as_number.ec == std::errc() && as_number.ptr == end;
    if (whole_text && std::isfinite(number)) return ToolValue{number};
    return std::nullopt;
  }

  std::vector<Part> parts_;
  std::size_t part_ = 0;
  std::size_t place_ = 0;  // in parts_[part_]
};

}  // namespace

std::optional<ToolCall> read_tool_call(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  std::optional<std::vector<Part>> parts = cut_at_quotes(tokenizer, ids);
  if (!parts) return std::nullopt;
  return CallParser(std::move(*parts)).call();
}

}  // namespace captiond
