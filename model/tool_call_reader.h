#pragma once

#include <optional>
#include <span>

#include "model/chat_message.h"
#include "model/token.h"
#include "model/tokenizer.h"

namespace captiond {

// Reads what stands between the markers of a tool call, `call:NAME{key:value,…}` with strings
// between quote tokens; nullopt if it is anything else. Accepts white space between the parts and
// quoted keys, both of which models write now and then.
std::optional<ToolCall> read_tool_call(const Tokenizer& tokenizer, std::span<const TokenId> ids);

}  // namespace captiond
