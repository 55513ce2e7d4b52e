#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "model/model_config.h"
#include "model/tokenizer.h"

namespace captiond {

// A question about one medium, cut where the medium's soft tokens go. The answer begins right after
// `after`. Rendering: reference model.md sections 7.2 to 7.4, thinking off.
struct CaptionPrompt {
  std::vector<TokenId> before;  // from <bos> to the medium's begin token
  std::vector<TokenId> after;   // from the medium's end token to the end of the empty thought block
};

// All of these throw std::invalid_argument, one sentence, for a checkpoint that cannot take the
// medium, and CheckpointError for a tokenizer that lacks a marker of the chat format.

// "Transcribe the following speech segment in English …", then the audio. `language` is the
// English name of the language.
CaptionPrompt transcription_question(const Tokenizer& tokenizer, const ModelConfig& config,
                                     std::string_view language);

// A picture, then `text`.
CaptionPrompt scene_question(const Tokenizer& tokenizer, const ModelConfig& config,
                             std::string_view text);

// A video of frames at `times` (from its start, at least one), then `text`: the ids around the
// frames' soft tokens, one list more than there are frames. The first ends with the begin token of
// the first frame and is the same for all videos whose first time is 0. Each frame stands behind
// its time as mm:ss. Source: reference model.md section 3.6.
std::vector<std::vector<TokenId>> video_question(const Tokenizer& tokenizer,
                                                 const ModelConfig& config,
                                                 std::span<const std::chrono::seconds> times,
                                                 std::string_view text);

// What follows the answer `transcript` to have it translated: the end of the model's turn, a user
// turn with the published translation prompt, and a model turn begun as that prompt wants it, with
// the transcript, a newline and "TARGET:", so that the model goes on with the translation alone.
std::vector<TokenId> translation_follow_up(const Tokenizer& tokenizer, const ModelConfig& config,
                                           std::string_view source, std::string_view target,
                                           std::span<const TokenId> transcript);

}  // namespace captiond
