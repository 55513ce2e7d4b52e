#pragma once

#include <cstdint>
#include <ostream>

#include "captiond/v1/event.pb.h"
#include "pipeline/live_lines.h"
#include "pipeline/sequence_watch.h"

namespace captiond {

// Shows events as they arrive: `captionctl listen`. One owner.
class EventView {
 public:
  enum class Style {
    kLines,  // a line an event; partial transcripts rewritten in place where `columns` > 0
    kJson,   // an object an event, heartbeats too: {"stream": …, "transcript": {…}}
  };

  // `out` gets the events, `notes` the losses; both are borrowed.
  EventView(Style style, std::ostream& out, std::ostream& notes, std::size_t columns);

  // Shows `event`, and before it how many events of its stream are missing, if any.
  void show(const v1::Event& event);

  void set_columns(std::size_t columns) { lines_.set_columns(columns); }
  std::uint64_t shown() const { return shown_; }
  std::uint64_t missing() const { return watch_.missing(); }

 private:
  void show_transcript(const v1::Event& event);

  const Style style_;
  std::ostream& out_;
  std::ostream& notes_;
  LiveLines lines_;
  SequenceWatch watch_;
  std::uint64_t shown_ = 0;
};

}  // namespace captiond
