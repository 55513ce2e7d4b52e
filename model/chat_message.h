#pragma once

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "model/tool_value.h"

namespace captiond {

enum class MediaKind { kImage, kVideo, kAudio };

// Text from whoever speaks; markers of the chat format in it are letters like any others.
struct TextPart {
  std::string text;
};

// Where a picture, a video or audio goes; the soft tokens are appended by the caller, who has the
// patches.
struct MediaPart {
  MediaKind kind = MediaKind::kAudio;
  // Of a video, the time of each frame from its start; shown to the model as mm:ss.
  std::vector<std::chrono::seconds> frames;
};

using ContentPart = std::variant<TextPart, MediaPart>;

// A string, or parts in order. Text is trimmed of white space at both ends when rendered.
using Content = std::variant<std::string, std::vector<ContentPart>>;

struct SystemMessage {
  Content content;  // text only
};

struct UserMessage {
  Content content;
};

struct ToolCall {
  std::string name;
  ToolValue::Mapping arguments;
};

struct ModelMessage {
  Content content;  // what looks like a thought in it is left out when rendered
  std::string reasoning;
  std::vector<ToolCall> calls;
};

// What a tool answered. Follows the ModelMessage that called it, or another ToolMessage.
struct ToolMessage {
  std::string name;
  ToolValue value;
};

using ChatMessage = std::variant<SystemMessage, UserMessage, ModelMessage, ToolMessage>;

}  // namespace captiond
