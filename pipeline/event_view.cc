#include "pipeline/event_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/caption_format.h"
#include "pipeline/event_topic.h"
#include "pipeline/message_json.h"
#include "pipeline/proto_time.h"

namespace captiond {
namespace {

std::string clock_of(const google::protobuf::Duration& time) {
  return clock_text(from_duration(time), '.');
}

std::string label_of(const v1::Event& event, const google::protobuf::Duration& time,
                     const std::string& kind) {
  return event.stream() + " " + clock_of(time) + " " + kind + "  ";
}

std::string state_line(const v1::Event& event) {
  const v1::StreamState& state = event.stream_state();
  std::string name = v1::StreamState::State_Name(state.state());
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string line = event.stream() + " is " + name;
  if (!state.reason().empty()) line += ": " + state.reason();
  if (state.has_retry_in()) {
    const double seconds = std::chrono::duration<double>(from_duration(state.retry_in())).count();
    line += "; next try in " + std::to_string(seconds).substr(0, 5) + " s";
  }
  return line;
}

std::string gap_line(const v1::Event& event) {
  const v1::Gap& gap = event.gap();
  std::string reason = "the source left it out";
  if (gap.reason() == v1::Gap::QUEUE_FULL) reason = "the queue was full";
  if (gap.reason() == v1::Gap::ENGINE_BEHIND) reason = "the engine was behind";
  return event.stream() + " " + clock_of(gap.start()) + " not heard until " + clock_of(gap.end()) +
         ": " + reason;
}

// The line of every kind but transcripts; empty for heartbeats.
std::string line_of(const v1::Event& event) {
  switch (event.body_case()) {
    case v1::Event::kTranslation: {
      const auto& translation = event.translation();
      return label_of(event, translation.start(), translation.language()) + translation.text();
    }
    case v1::Event::kScene:
      return label_of(event, event.scene().at(), "scene") + event.scene().text();
    case v1::Event::kAlert:
      return label_of(event, event.alert().at(), event.alert().active() ? "ALERT" : "alert over") +
             event.alert().rule() + ": " + event.alert().text();
    case v1::Event::kStreamState:
      return state_line(event);
    case v1::Event::kGap:
      return gap_line(event);
    default:
      return {};
  }
}

}  // namespace

EventView::EventView(Style style, std::ostream& out, std::ostream& notes, std::size_t columns)
    : style_(style), out_(out), notes_(notes), lines_(out, columns) {}

void EventView::show(const v1::Event& event) {
  if (const auto missing = watch_.missing_before(event); missing > 0) {
    const std::string note = event.stream() + ": " + std::to_string(missing) +
                             (missing == 1 ? " event was lost" : " events were lost") + " before " +
                             std::to_string(event.sequence());
    if (style_ == Style::kJson) {
      notes_ << note << std::endl;
    } else {
      lines_.keep(note);
    }
  }
  ++shown_;
  if (style_ == Style::kJson) {
    out_ << json_line(message_json(event)) << std::endl;
  } else if (event.has_transcript()) {
    show_transcript(event);
  } else if (const std::string line = line_of(event); !line.empty()) {
    lines_.keep(line);
  }
  // What a run that has ended left unfinished will never be finished.
  if (event.has_stream_state()) lines_.remove(event.stream());
}

void EventView::show_transcript(const v1::Event& event) {
  const v1::Transcript& transcript = event.transcript();
  const std::string label = label_of(event, transcript.start(), transcript.language());
  if (!transcript.final()) {
    const auto stable = std::min<std::size_t>(transcript.stable_length(), transcript.text().size());
    lines_.replace(event.stream(),
                   {label, transcript.text().substr(0, stable), transcript.text().substr(stable)});
    return;
  }
  lines_.remove(event.stream());
  if (!transcript.text().empty()) lines_.keep(label + transcript.text());
}

}  // namespace captiond
