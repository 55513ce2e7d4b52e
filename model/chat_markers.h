#pragma once

#include <array>
#include <string_view>

namespace captiond {

// The strings of Gemma 4's chat format that are one token each and steer the model. Source:
// reference model.md section 6.
namespace chat_markers {

inline constexpr std::string_view kEos = "<eos>";
inline constexpr std::string_view kBos = "<bos>";
inline constexpr std::string_view kToolBegin = "<|tool>";
inline constexpr std::string_view kToolEnd = "<tool|>";
inline constexpr std::string_view kToolCallBegin = "<|tool_call>";
inline constexpr std::string_view kToolCallEnd = "<tool_call|>";
inline constexpr std::string_view kToolResponseBegin = "<|tool_response>";
inline constexpr std::string_view kToolResponseEnd = "<tool_response|>";
inline constexpr std::string_view kQuote = "<|\"|>";
inline constexpr std::string_view kThink = "<|think|>";
inline constexpr std::string_view kChannelBegin = "<|channel>";
inline constexpr std::string_view kChannelEnd = "<channel|>";
inline constexpr std::string_view kTurnBegin = "<|turn>";
inline constexpr std::string_view kTurnEnd = "<turn|>";
inline constexpr std::string_view kImageBegin = "<|image>";
inline constexpr std::string_view kImage = "<|image|>";
inline constexpr std::string_view kImageEnd = "<image|>";
inline constexpr std::string_view kAudioBegin = "<|audio>";
inline constexpr std::string_view kAudio = "<|audio|>";
inline constexpr std::string_view kAudioEnd = "<audio|>";
inline constexpr std::string_view kVideo = "<|video|>";

inline constexpr std::array kAll = {
    kEos,          kBos,       kToolBegin,         kToolEnd,         kToolCallBegin,
    kToolCallEnd,  kThink,     kToolResponseBegin, kToolResponseEnd, kQuote,
    kChannelBegin, kTurnBegin, kChannelEnd,        kTurnEnd,         kImageBegin,
    kImage,        kImageEnd,  kAudioBegin,        kAudio,           kAudioEnd,
    kVideo};

}  // namespace chat_markers

}  // namespace captiond
