#pragma once

#include "model/chat_message.h"
#include "model/chat_pieces.h"
#include "model/chat_prompt.h"

namespace captiond {

// The rules of Gemma 4's published chat template, as of 2026-07-09. Source: reference model.md 7.2.
// One difference: after a model turn that called a tool, got its answer and said something, the
// template opens no new turn for the model; here it does. Throws std::invalid_argument.
ChatPieces write_chat(const Chat& chat);

// See tokenize_follow_up().
ChatPieces write_follow_up(const Content& content, bool thinking);

}  // namespace captiond
