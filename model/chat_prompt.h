#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/model_config.h"
#include "model/tokenizer.h"

namespace captiond {

// Where a picture, a video frame or audio goes in a prompt; the soft tokens are appended by the
// caller, who has the patches.
enum class MediaKind { kImage, kVideo, kAudio };

struct TextPart {
  std::string text;
};
struct MediaPart {
  MediaKind kind = MediaKind::kAudio;
};
using ContentPart = std::variant<TextPart, MediaPart>;

// A prompt cut at its media: ids, media, ids, … The begin and end tokens of a medium (boa and eoa,
// boi and eoi) stand in the ids around it.
struct PromptSegment {
  std::vector<TokenId> ids;         // appended first
  std::optional<MediaKind> media;   // then these soft tokens; nullopt only in the last segment
};

// Prompts of reference model.md section 7.4, wording exact.
std::string transcription_prompt(std::string_view language);
std::string translation_prompt(std::string_view source_language, std::string_view target_language);

}  // namespace captiond
