#pragma once

#include "model/chat_message.h"
#include "model/chat_pieces.h"
#include "model/tool_declaration.h"

namespace captiond {

// The chat format's notation for tools: JSON without spaces, keys bare and sorted regardless of
// case, strings between quote tokens. Source: reference model.md 7.2 and 7.3. All throw
// std::invalid_argument for what the format cannot say: a number that is not finite, a schema that
// does not fit its type.
void write_tool_declaration(const ToolDeclaration& tool, ChatPieces& out);
void write_tool_call(const ToolCall& call, ChatPieces& out);
void write_tool_response(const ToolMessage& response, ChatPieces& out);

}  // namespace captiond
