#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/chat_message.h"
#include "model/token.h"
#include "model/tokenizer.h"

namespace captiond {

// Where the prompt left off: in the visible answer, or inside of a thought (after a tool's answer,
// with thinking on).
enum class OutputStart { kAnswer, kThought };

// What a model wrote, taken apart. Nothing is dropped but the markers themselves.
struct ModelOutput {
  std::string text;       // what is meant to be seen, as written: not trimmed
  std::string reasoning;  // thoughts in order, one a line
  std::vector<ToolCall> calls;
  std::vector<std::string> malformed_calls;  // what stood between call markers and is no call
  bool complete = true;                      // false: the end came inside of a thought or a call
};

// Markers count only as tokens: the same letters made of ordinary tokens are text. Reading ends at
// the end of the turn or where a tool's answer would begin. Source: reference model.md 7.3.
ModelOutput parse_model_output(const Tokenizer& tokenizer, std::span<const TokenId> ids,
                               OutputStart start = OutputStart::kAnswer);

}  // namespace captiond
