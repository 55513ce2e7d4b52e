#include "pipeline/caption_format.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "pipeline/message_json.h"
#include "pipeline/printable_text.h"
#include "pipeline/proto_time.h"

namespace captiond {
namespace {

// Kinds and language codes take as many columns, so that the words begin below each other.
constexpr std::size_t kKindColumns = 5;

// More than the speech of a file can be behind its pictures: the audio queue (5 s), the captioner's
// (30 s) and an open segment (15 s).
constexpr std::chrono::seconds kSceneWait(60);

// WebVTT's character references; they also keep "-->" out of a cue.
std::string vtt_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// What the three kinds of bodies have in common.
struct Caption {
  std::string text;
  std::string kind;  // a language code, or "scene"
  std::chrono::nanoseconds start{};
  bool final = true;
};

Caption caption_of(const v1::Event& body) {
  if (body.has_transcript()) {
    const v1::Transcript& transcript = body.transcript();
    return {transcript.text(), transcript.language(), from_duration(transcript.start()),
            transcript.final()};
  }
  if (body.has_translation()) {
    const v1::Translation& translation = body.translation();
    return {translation.text(), translation.language(), from_duration(translation.start())};
  }
  return {body.scene().text(), "scene", from_duration(body.scene().at())};
}

}  // namespace

std::string clock_text(std::chrono::nanoseconds time, char mark) {
  const auto milliseconds = std::chrono::round<std::chrono::milliseconds>(time).count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%02lld:%02lld:%02lld%c%03lld",
                static_cast<long long>(milliseconds / 3'600'000),
                static_cast<long long>(milliseconds / 60'000 % 60),
                static_cast<long long>(milliseconds / 1000 % 60), mark,
                static_cast<long long>(milliseconds % 1000));
  return text.data();
}

CaptionFormatter::CaptionFormatter(CaptionFormat format, CaptionContent content, std::string file,
                                   std::chrono::nanoseconds scene_interval)
    : format_(format), content_(content), file_(std::move(file)), scene_interval_(scene_interval) {}

std::string CaptionFormatter::begin() const {
  return format_ == CaptionFormat::kVtt ? "WEBVTT\n\n" : "";
}

std::string CaptionFormatter::caption(const v1::Event& body) {
  if (!body.has_transcript() && !body.has_translation() && !body.has_scene()) return {};
  if (format_ == CaptionFormat::kJson) return in_order(body, json(body));
  if (format_ == CaptionFormat::kText) return in_order(body, line(body));
  const Caption caption = caption_of(body);
  if (!caption.final || caption.text.empty()) return {};
  if (content_ != CaptionContent::kMixed) return write(cue(body));
  hold(body);
  return {};
}

std::string CaptionFormatter::in_order(const v1::Event& body, std::string line) {
  if (content_ != CaptionContent::kMixed || body.has_translation()) return line;
  const auto start = caption_of(body).start;
  if (body.has_transcript()) return take_waiting(start) + line;
  waiting_.push_back({start, std::move(line)});
  return take_waiting(start - kSceneWait);
}

std::string CaptionFormatter::take_waiting(std::chrono::nanoseconds until) {
  std::string text;
  for (; !waiting_.empty() && waiting_.front().at <= until; waiting_.pop_front()) {
    text += waiting_.front().text;
  }
  return text;
}

std::string CaptionFormatter::end() {
  std::string text = take_waiting(std::chrono::nanoseconds::max());
  std::vector<Cue> cues = std::move(scenes_);
  for (auto& [segment, spoken] : spoken_) cues.push_back(std::move(spoken));
  scenes_.clear();
  spoken_.clear();
  std::stable_sort(cues.begin(), cues.end(),
                   [](const Cue& a, const Cue& b) { return a.start < b.start; });
  for (const Cue& cue : cues) text += write(cue);
  return text;
}

std::string CaptionFormatter::label(const v1::Event& body) const {
  if (content_ == CaptionContent::kSpeech) return {};
  const Caption caption = caption_of(body);
  std::string kind = caption.kind;
  kind.resize(std::max(kind.size(), kKindColumns), ' ');
  return clock_text(caption.start, '.') + " " + kind + "  ";
}

std::string CaptionFormatter::line(const v1::Event& body) const {
  const Caption caption = caption_of(body);
  if (!caption.final || caption.text.empty()) return {};
  return label(body) + printable(caption.text) + "\n";
}

std::string CaptionFormatter::json(const v1::Event& body) const {
  nlohmann::ordered_json json = {{"file", file_}};
  if (body.has_transcript()) {
    json["kind"] = "transcript";
    json.update(message_json(body.transcript()));
  } else if (body.has_translation()) {
    json["kind"] = "translation";
    json.update(message_json(body.translation()));
  } else {
    json["kind"] = "scene";
    json.update(message_json(body.scene()));
  }
  return json_line(json) + "\n";
}

CaptionFormatter::Cue CaptionFormatter::cue(const v1::Event& body) const {
  const bool vtt = format_ == CaptionFormat::kVtt;
  const bool mixed = content_ == CaptionContent::kMixed;
  const Caption caption = caption_of(body);
  Cue cue;
  cue.start = caption.start;
  // A line end would end the cue too early.
  std::string line = vtt ? vtt_text(printable(caption.text)) : printable(caption.text);
  if (body.has_transcript()) {
    cue.end = from_duration(body.transcript().end());
  } else if (body.has_translation()) {
    cue.end = from_duration(body.translation().end());
    if (mixed && vtt) line = "<lang " + body.translation().language() + ">" + line + "</lang>";
  } else {
    cue.end = cue.start + scene_interval_;
    cue.scene = true;
    if (mixed) line = "[" + line + "]";
  }
  cue.lines.emplace(body.translation().language(), std::move(line));
  return cue;
}

void CaptionFormatter::hold(const v1::Event& body) {
  Cue next = cue(body);
  if (next.scene) {
    scenes_.push_back(std::move(next));
    return;
  }
  const auto segment =
      body.has_transcript() ? body.transcript().segment() : body.translation().segment();
  const auto [held, is_new] = spoken_.try_emplace(segment, next);
  if (!is_new) held->second.lines.merge(next.lines);
}

std::string CaptionFormatter::write(const Cue& cue) {
  ++cues_;
  const bool vtt = format_ == CaptionFormat::kVtt;
  const char mark = vtt ? '.' : ',';
  std::string text = vtt ? "" : std::to_string(cues_) + "\n";
  text += clock_text(cue.start, mark) + " --> " + clock_text(cue.end, mark);
  // Below it the words that are spoken meanwhile have their place.
  if (vtt && cue.scene && content_ == CaptionContent::kMixed) text += " line:0";
  text += "\n";
  for (const auto& [language, line] : cue.lines) text += line + "\n";
  return text + "\n";
}

}  // namespace captiond
