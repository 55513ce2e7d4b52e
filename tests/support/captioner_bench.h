#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "elements/audio_patch.h"
#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/caption_ports.h"

namespace captiond {

// A captioner's surroundings without threads: what it posts runs when the test says so, what it
// tells is kept.
struct CaptionerBench {
  CaptionCounters counters;
  std::deque<std::function<void()>> posted;
  std::vector<CaptionEvent> events;

  CaptionPorts ports() {
    return {[this](std::function<void()> closure) { posted.push_back(std::move(closure)); },
            [this](CaptionEvent event) { events.push_back(std::move(event)); }};
  }
  void run_posted() {
    while (!posted.empty()) {
      const std::function<void()> closure = std::move(posted.front());
      posted.pop_front();
      closure();
    }
  }
  template <class Event>
  std::vector<Event> all() const {
    std::vector<Event> out;
    for (const CaptionEvent& event : events) {
      if (const auto* wanted = std::get_if<Event>(&event)) out.push_back(*wanted);
    }
    return out;
  }
};

// A patch with upstream's word on whether it is speech; loud or digital silence accordingly.
inline AudioPatch test_patch(std::size_t number, bool voice) {
  AudioPatch patch;
  patch.start = duration_of(number);
  patch.voice_change = voice;
  if (voice) {
    for (std::size_t i = 0; i < patch.samples.size(); ++i) {
      patch.samples[i] = i % 2 == 0 ? 0.3f : -0.3f;
    }
  }
  return patch;
}

// One event as a line, for comparing whole runs: "0.1 1.28-3.40 good mor|ning" is revision 1 of
// segment 0 with what is stable before the bar; a final has no bar and says so.
inline std::string to_line(const CaptionEvent& event) {
  const auto seconds = [](StreamTime time) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
    std::string out = std::to_string(ms / 1000) + ".";
    const std::string rest = std::to_string(ms % 1000);
    return out + std::string(3 - rest.size(), '0') + rest;
  };
  if (const auto* e = std::get_if<TranscriptEvent>(&event)) {
    const std::string head = std::to_string(e->segment) + "." + std::to_string(e->revision) + " " +
                             seconds(e->start) + "-" + seconds(e->end) + " ";
    const std::string tail = e->truncated ? " (truncated)" : "";
    if (e->final) return head + "final " + e->text + tail;
    return head + e->text.substr(0, e->stable_length) + "|" + e->text.substr(e->stable_length) +
           tail;
  }
  if (const auto* e = std::get_if<TranslationEvent>(&event)) {
    return std::to_string(e->segment) + " " + e->language + " " + e->text;
  }
  if (const auto* e = std::get_if<SceneEvent>(&event)) {
    return "scene " + std::to_string(e->scene) + " " + seconds(e->time) + " " + e->text;
  }
  if (const auto* e = std::get_if<SilenceEvent>(&event)) {
    return "silence " + seconds(e->start) + "-" + seconds(e->end);
  }
  const auto& e = std::get<LossEvent>(event);
  return "loss " + seconds(e.start) + "-" + seconds(e.end);
}

}  // namespace captiond
