#include "pipeline/caption_body.h"

#include <variant>

#include "pipeline/proto_time.h"

namespace captiond {
namespace {

google::protobuf::Timestamp on_the_wall(std::chrono::system_clock::time_point zero,
                                        StreamTime time) {
  return to_timestamp(zero + std::chrono::duration_cast<std::chrono::system_clock::duration>(time));
}

struct ToBody {
  const WallZero& wall_zero;

  std::optional<v1::Event> operator()(const TranscriptEvent& event) const {
    v1::Event body;
    v1::Transcript& transcript = *body.mutable_transcript();
    transcript.set_segment(event.segment);
    transcript.set_revision(event.revision);
    transcript.set_final(event.final);
    transcript.set_text(event.text);
    transcript.set_stable_length(static_cast<std::uint32_t>(event.stable_length));
    transcript.set_language(event.language);
    *transcript.mutable_start() = to_duration(event.start);
    *transcript.mutable_end() = to_duration(event.end);
    if (wall_zero) *transcript.mutable_started_at() = on_the_wall(*wall_zero, event.start);
    transcript.set_truncated(event.truncated);
    return body;
  }

  std::optional<v1::Event> operator()(const TranslationEvent& event) const {
    v1::Event body;
    v1::Translation& translation = *body.mutable_translation();
    translation.set_segment(event.segment);
    translation.set_text(event.text);
    translation.set_language(event.language);
    translation.set_source_language(event.source_language);
    *translation.mutable_start() = to_duration(event.start);
    *translation.mutable_end() = to_duration(event.end);
    if (wall_zero) *translation.mutable_started_at() = on_the_wall(*wall_zero, event.start);
    translation.set_truncated(event.truncated);
    return body;
  }

  std::optional<v1::Event> operator()(const SceneEvent& event) const {
    v1::Event body;
    v1::Scene& scene = *body.mutable_scene();
    scene.set_scene(event.scene);
    scene.set_text(event.text);
    *scene.mutable_at() = to_duration(event.time);
    if (wall_zero) *scene.mutable_seen_at() = on_the_wall(*wall_zero, event.time);
    scene.set_truncated(event.truncated);
    return body;
  }

  std::optional<v1::Event> operator()(const LossEvent& event) const {
    v1::Event body;
    v1::Gap& gap = *body.mutable_gap();
    gap.set_reason(v1::Gap::ENGINE_BEHIND);
    *gap.mutable_start() = to_duration(event.start);
    *gap.mutable_end() = to_duration(event.end);
    return body;
  }

  std::optional<v1::Event> operator()(const SilenceEvent&) const { return std::nullopt; }
};

}  // namespace

std::optional<v1::Event> caption_body(const CaptionEvent& event, const WallZero& wall_zero) {
  return std::visit(ToBody{wall_zero}, event);
}

}  // namespace captiond
