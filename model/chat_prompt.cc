#include "model/chat_prompt.h"

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <variant>

#include "model/chat_markers.h"
#include "model/chat_pieces.h"
#include "model/chat_template.h"
#include "model/checkpoint_error.h"

namespace captiond {
namespace {

std::string_view placeholder(MediaKind kind) {
  switch (kind) {
    case MediaKind::kImage:
      return chat_markers::kImage;
    case MediaKind::kVideo:
      return chat_markers::kVideo;
    case MediaKind::kAudio:
      return chat_markers::kAudio;
  }
  return {};
}

// "mm:ss"; minutes go on counting above 99.
std::string clock_text(std::chrono::seconds time) {
  if (time.count() < 0) {
    throw std::invalid_argument("the time of a video frame must be 0 s or later, found " +
                                std::to_string(time.count()) + " s.");
  }
  const auto two_digits = [](std::int64_t number) {
    return (number < 10 ? "0" : "") + std::to_string(number);
  };
  return two_digits(time.count() / 60) + ":" + two_digits(time.count() % 60);
}

// Replaces each video by what the model reads: the time of a frame and the frame, in turn.
ChatPieces with_video_frames(const ChatPieces& chat) {
  ChatPieces out;
  for (const ChatPiece& piece : chat.pieces()) {
    if (const auto* text = std::get_if<ChatText>(&piece)) {
      out.text(text->text);
    } else if (const auto* marker = std::get_if<ChatMarker>(&piece)) {
      out.marker(marker->token);
    } else {
      const auto& part = std::get<MediaPart>(piece);
      if (part.kind != MediaKind::kVideo) {
        out.media(part);
        continue;
      }
      if (part.frames.empty()) throw std::invalid_argument("a video must have frames, found none.");
      for (std::size_t i = 0; i < part.frames.size(); ++i) {
        out.text((i > 0 ? " " : "") + clock_text(part.frames[i]) + " ");
        out.media({MediaKind::kVideo, {part.frames[i]}});
      }
    }
  }
  return out;
}

class ChatTokens {
 public:
  ChatTokens(const Tokenizer& tokenizer, const ModelConfig& config)
      : tokenizer_(tokenizer), config_(config) {}

  std::vector<PromptSegment> segments(const ChatPieces& chat) {
    std::vector<PromptSegment> out(1);
    const ChatPieces with_frames = with_video_frames(chat);
    for (const ChatPiece& piece : with_frames.pieces()) {
      std::vector<TokenId>& ids = out.back().ids;
      if (const auto* text = std::get_if<ChatText>(&piece)) {
        const std::vector<TokenId> plain = tokenizer_.encode_plain(text->text);
        ids.insert(ids.end(), plain.begin(), plain.end());
      } else if (const auto* marker = std::get_if<ChatMarker>(&piece)) {
        ids.push_back(id_of(marker->token));
      } else {
        const MediaKind kind = std::get<MediaPart>(piece).kind;
        const auto [begin, end] = ends_of(kind);
        ids.push_back(begin);
        out.back().media = kind;
        out.emplace_back().ids.push_back(end);
      }
    }
    return out;
  }

 private:
  TokenId id_of(std::string_view marker) const {
    const std::optional<TokenId> id = tokenizer_.find(marker);
    if (!id) {
      throw CheckpointError("tokenizer.json: the vocabulary must have the chat format's token " +
                            std::string(marker) + ", found no such entry.");
    }
    return *id;
  }

  TokenId checked(std::string_view marker, const char* key, TokenId configured) const {
    const TokenId id = id_of(marker);
    if (id != configured) {
      throw CheckpointError("config.json: " + std::string(key) + " must be " + std::to_string(id) +
                            ", the id of " + std::string(marker) + " in tokenizer.json, found " +
                            std::to_string(configured) + ".");
    }
    return id;
  }

  std::pair<TokenId, TokenId> ends_of(MediaKind kind) const {
    if (kind == MediaKind::kAudio) {
      if (!config_.audio)
        throw std::invalid_argument("this checkpoint cannot hear: no audio_config.");
      return {checked(chat_markers::kAudioBegin, "boa_token_id", config_.boa_token_id),
              checked(chat_markers::kAudioEnd, "eoa_token_id", config_.eoa_token_id)};
    }
    if (!config_.vision)
      throw std::invalid_argument("this checkpoint cannot see: no vision_config.");
    return {checked(chat_markers::kImageBegin, "boi_token_id", config_.boi_token_id),
            checked(chat_markers::kImageEnd, "eoi_token_id", config_.eoi_token_id)};
  }

  const Tokenizer& tokenizer_;
  const ModelConfig& config_;
};

}  // namespace

std::string render_chat(const Chat& chat) {
  const ChatPieces rendered = write_chat(chat);
  std::string out;
  for (const ChatPiece& piece : rendered.pieces()) {
    if (const auto* text = std::get_if<ChatText>(&piece)) {
      out += text->text;
    } else if (const auto* marker = std::get_if<ChatMarker>(&piece)) {
      out += marker->token;
    } else {
      out += placeholder(std::get<MediaPart>(piece).kind);
    }
  }
  return out;
}

std::vector<PromptSegment> tokenize_chat(const Tokenizer& tokenizer, const ModelConfig& config,
                                         const Chat& chat) {
  return ChatTokens(tokenizer, config).segments(write_chat(chat));
}

std::vector<PromptSegment> tokenize_follow_up(const Tokenizer& tokenizer, const ModelConfig& config,
                                              const Content& content, bool thinking) {
  return ChatTokens(tokenizer, config).segments(write_follow_up(content, thinking));
}

}  // namespace captiond
