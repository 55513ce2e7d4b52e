#include "model/model_output.h"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "model/chat_markers.h"
#include "model/tool_call_reader.h"

namespace captiond {
namespace {

constexpr std::string_view kThoughtChannel = "thought\n";

class OutputReader {
 public:
  OutputReader(const Tokenizer& tokenizer, std::span<const TokenId> ids)
      : tokenizer_(tokenizer), ids_(ids) {}

  ModelOutput read(OutputStart start) {
    ModelOutput out;
    if (start == OutputStart::kThought) read_thought(out, {});
    std::vector<TokenId> visible;
    while (place_ < ids_.size() && !at_end_of_turn()) {
      if (take(chat_markers::kChannelBegin)) {
        read_thought(out, kThoughtChannel);
      } else if (take(chat_markers::kToolCallBegin)) {
        read_call(out);
      } else {
        // A marker that closes nothing has no text of its own.
        const TokenId id = ids_[place_++];
        if (!is(id, chat_markers::kChannelEnd) && !is(id, chat_markers::kToolCallEnd)) {
          visible.push_back(id);
        }
      }
    }
    out.text = tokenizer_.decode(visible);
    return out;
  }

 private:
  bool is(TokenId id, std::string_view marker) const { return tokenizer_.find(marker) == id; }

  bool at_end_of_turn() const {
    return is(ids_[place_], chat_markers::kTurnEnd) || is(ids_[place_], chat_markers::kEos) ||
           is(ids_[place_], chat_markers::kToolResponseBegin);
  }

  bool take(std::string_view marker) {
    if (!is(ids_[place_], marker)) return false;
    ++place_;
    return true;
  }

  // The ids up to `marker`, which is taken along.
  std::span<const TokenId> read_until(std::string_view marker, ModelOutput& out) {
    const std::size_t begin = place_;
    while (place_ < ids_.size() && !is(ids_[place_], marker)) ++place_;
    const std::span<const TokenId> ids = ids_.subspan(begin, place_ - begin);
    if (place_ == ids_.size()) {
      out.complete = false;
    } else {
      ++place_;
    }
    return ids;
  }

  // `heading` is left out where the thought starts with it.
  void read_thought(ModelOutput& out, std::string_view heading) {
    std::string thought = tokenizer_.decode(read_until(chat_markers::kChannelEnd, out));
    if (thought.starts_with(heading)) thought.erase(0, heading.size());
    if (thought.ends_with('\n')) thought.pop_back();
    if (thought.empty()) return;
    if (!out.reasoning.empty()) out.reasoning += "\n";
    out.reasoning += thought;
  }

  void read_call(ModelOutput& out) {
    const std::span<const TokenId> ids = read_until(chat_markers::kToolCallEnd, out);
    std::optional<ToolCall> call;
    if (out.complete) call = read_tool_call(tokenizer_, ids);
    if (call) {
      out.calls.push_back(std::move(*call));
    } else {
      out.malformed_calls.push_back(tokenizer_.decode(ids, true));
    }
  }

  const Tokenizer& tokenizer_;
  std::span<const TokenId> ids_;
  std::size_t place_ = 0;
};

}  // namespace

ModelOutput parse_model_output(const Tokenizer& tokenizer, std::span<const TokenId> ids,
                               OutputStart start) {
  return OutputReader(tokenizer, ids).read(start);
}

}  // namespace captiond
