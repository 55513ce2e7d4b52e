#include "elements/caption_prompt.h"

#include <string>
#include <utility>

#include "model/chat_prompt.h"
#include "model/check.h"

namespace captiond {
namespace {

CaptionPrompt question(const Tokenizer& tokenizer, const ModelConfig& config,
                       std::vector<ContentPart> content) {
  Chat chat;
  chat.messages.emplace_back(UserMessage{std::move(content)});
  std::vector<PromptSegment> segments = tokenize_chat(tokenizer, config, chat);
  check(segments.size() == 2 && segments[0].media && !segments[1].media,
        "a prompt with one medium has two segments");
  return {std::move(segments[0].ids), std::move(segments[1].ids)};
}

}  // namespace

CaptionPrompt transcription_question(const Tokenizer& tokenizer, const ModelConfig& config,
                                     std::string_view language) {
  return question(tokenizer, config,
                  {TextPart{transcription_prompt(language)}, MediaPart{MediaKind::kAudio, {}}});
}

CaptionPrompt scene_question(const Tokenizer& tokenizer, const ModelConfig& config,
                             std::string_view text) {
  return question(tokenizer, config,
                  {MediaPart{MediaKind::kImage, {}}, TextPart{std::string(text)}});
}

std::vector<std::vector<TokenId>> video_question(const Tokenizer& tokenizer,
                                                 const ModelConfig& config,
                                                 std::span<const std::chrono::seconds> times,
                                                 std::string_view text) {
  Chat chat;
  chat.messages.emplace_back(UserMessage{std::vector<ContentPart>{
      MediaPart{MediaKind::kVideo, {times.begin(), times.end()}}, TextPart{std::string(text)}}});
  std::vector<std::vector<TokenId>> out;
  for (PromptSegment& segment : tokenize_chat(tokenizer, config, chat)) {
    out.push_back(std::move(segment.ids));
  }
  check(out.size() == times.size() + 1, "a prompt with one video has a segment more than frames");
  return out;
}

std::vector<TokenId> translation_follow_up(const Tokenizer& tokenizer, const ModelConfig& config,
                                           std::string_view source, std::string_view target,
                                           std::span<const TokenId> transcript) {
  std::vector<PromptSegment> segments =
      tokenize_follow_up(tokenizer, config, translation_prompt(source, target), false);
  check(segments.size() == 1, "a prompt without a medium is one segment");
  std::vector<TokenId> ids = std::move(segments[0].ids);
  ids.insert(ids.end(), transcript.begin(), transcript.end());
  // Without the space after the colon: it is part of the translation's first token.
  const std::vector<TokenId> begin = tokenizer.encode("\n" + std::string(target) + ":");
  ids.insert(ids.end(), begin.begin(), begin.end());
  return ids;
}

}  // namespace captiond
