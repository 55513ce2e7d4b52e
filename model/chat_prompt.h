#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/chat_message.h"
#include "model/model_config.h"
#include "model/speech_prompt.h"
#include "model/token.h"
#include "model/tokenizer.h"
#include "model/tool_declaration.h"

namespace captiond {

// A conversation as the published template of Gemma 4 takes it. Source: reference model.md 7.
struct Chat {
  std::vector<ChatMessage> messages;
  std::vector<ToolDeclaration> tools;
  bool thinking = false;           // let the model think before it answers
  bool preserve_thinking = false;  // keep the reasoning of tool calls before the last user message
  bool generation_prompt = true;   // end where the model is to go on
};

// A prompt cut at its media: ids, media, ids, … The begin and end tokens of a medium (boa and eoa,
// boi and eoi) stand in the ids around it. Each frame of a video is a medium of its own.
struct PromptSegment {
  std::vector<TokenId> ids;        // appended first
  std::optional<MediaKind> media;  // then these soft tokens; nullopt only in the last segment
};

// The prompt as text, a medium as its one placeholder (<|audio|>). What people wrote stands in it
// as they wrote it, markers included: for reading and for tests, never to be encoded again.
//
// Throws std::invalid_argument for a chat that the template has no form for: a ToolMessage that
// answers no call, a medium in a system message, a schema that does not fit its type.
std::string render_chat(const Chat& chat);

// The prompt as ids. Only what the template itself writes becomes control tokens; where people
// wrote "<turn|>", the model reads these letters. At least one segment; the last has no media.
//
// Throws as render_chat(), std::invalid_argument also for a medium that the checkpoint cannot take,
// and CheckpointError for a tokenizer without a marker that is needed or with another id than the
// config's.
std::vector<PromptSegment> tokenize_chat(const Tokenizer& tokenizer, const ModelConfig& config,
                                         const Chat& chat);

// What continues a context in which the model has just answered (without its stop token): the end
// of its turn, a user turn with `content`, and the generation prompt. Throws as tokenize_chat().
std::vector<PromptSegment> tokenize_follow_up(const Tokenizer& tokenizer, const ModelConfig& config,
                                              const Content& content, bool thinking);

}  // namespace captiond
