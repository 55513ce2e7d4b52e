#include "pipeline/event_topic.h"

#include "model/check.h"

namespace captiond {

std::string_view event_kind(const v1::Event& event) {
  switch (event.body_case()) {
    case v1::Event::kTranscript:
      return "transcript";
    case v1::Event::kTranslation:
      return "translation";
    case v1::Event::kScene:
      return "scene";
    case v1::Event::kAlert:
      return "alert";
    case v1::Event::kStreamState:
      return "state";
    case v1::Event::kGap:
      return "gap";
    case v1::Event::kHeartbeat:
      return "heartbeat";
    case v1::Event::BODY_NOT_SET:
      break;
  }
  check(false, "an event without a body has no kind");
  return {};
}

std::string event_topic(const v1::Event& event) {
  std::string topic = event.stream() + "/" + std::string(event_kind(event));
  if (event.has_transcript()) topic += "/" + event.transcript().language();
  if (event.has_translation()) topic += "/" + event.translation().language();
  return topic;
}

}  // namespace captiond
