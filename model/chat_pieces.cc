#include "model/chat_pieces.h"

namespace captiond {

ChatPieces& ChatPieces::text(std::string_view text) {
  if (text.empty()) return *this;
  if (pieces_.empty() || !std::holds_alternative<ChatText>(pieces_.back())) {
    pieces_.emplace_back(ChatText{});
  }
  std::get<ChatText>(pieces_.back()).text += text;
  return *this;
}

ChatPieces& ChatPieces::marker(std::string_view token) {
  pieces_.emplace_back(ChatMarker{token});
  return *this;
}

ChatPieces& ChatPieces::media(const MediaPart& part) {
  pieces_.emplace_back(part);
  return *this;
}

}  // namespace captiond
