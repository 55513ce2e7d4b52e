#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/chat_message.h"

namespace captiond {

// One of chat_markers.h: a control token.
struct ChatMarker {
  std::string_view token;
};

// Text, never control tokens, whatever it spells.
struct ChatText {
  std::string text;
};

using ChatPiece = std::variant<ChatText, ChatMarker, MediaPart>;

// A rendered chat before it becomes a string or ids: what the format itself writes as control
// tokens stays apart from what people wrote. Two texts are never neighbours, because a token may
// reach from one into the other.
class ChatPieces {
 public:
  ChatPieces& text(std::string_view text);
  ChatPieces& marker(std::string_view token);
  ChatPieces& media(const MediaPart& part);

  const std::vector<ChatPiece>& pieces() const { return pieces_; }

 private:
  std::vector<ChatPiece> pieces_;
};

}  // namespace captiond
