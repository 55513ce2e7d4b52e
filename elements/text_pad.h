#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <variant>

#include <gst/gst.h>

#include "elements/gst_handle.h"

namespace captiond::gst {

// A source pad of text/x-raw,format=utf8 with a streaming thread of its own: what is given to it
// waits in a queue and is pushed by the pad's task, so that a sink that blocks on one pad (as every
// sink does until it has prerolled) holds up neither the other pads nor the captioner.
//
// The queue holds 64 items (texts, gaps, events); give() waits for room. A gap that follows a gap
// joins it, so silence never fills the queue. While the pad is flushing or inactive, or after
// downstream has answered with an error, what is given is dropped; sticky events but SEGMENT and
// EOS outlive a flush, as in GStreamer's own queue.
//
// push_*() are for one thread at a time (the captioner's); the rest is for any thread. Owned by its
// GstPad, which is owned by the element.
class TextPad {
 public:
  // A new pad of `pad_template`, not yet added to an element.
  static GstPad* make(GstPadTemplate* pad_template, const std::string& name);
  // The TextPad of a pad that make() made.
  static TextPad& of(GstPad* pad);

  // New stream, made from the one that `upstream` (a STREAM_START) begins: STREAM_START, CAPS and a
  // TAG with `language`, if not empty.
  void push_stream_start(GstEvent* upstream, const std::string& language);
  // `segment` is in time format. Positions given later are in it.
  void push_segment(const GstSegment& segment);
  // One text from `start` to `end`, both in the time of buffers; without a duration if they are
  // equal. Empty text is a gap.
  void push_text(const std::string& text, GstClockTime start, GstClockTime end);
  // Nothing more comes before `until`.
  void push_gap(GstClockTime until);
  // Any other event, EOS too, in order.
  void push_event(EventHandle event);

  // FLUSH_START and FLUSH_STOP of upstream: drop all, and push the event on.
  void start_flush(EventHandle event);
  void stop_flush(EventHandle event);
  // Drops all from now on, so that nobody waits in give(); the pad is about to be deactivated.
  void shut();

  // The pad has told downstream's last answer as an ERROR message.
  bool failed() const;

 private:
  struct Gap {
    GstClockTime start;
    GstClockTime end;
  };
  using Item = std::variant<EventHandle, BufferHandle, Gap>;

  explicit TextPad(GstPad* pad) : pad_(pad) {}

  static gboolean activate(GstPad* pad, GstObject* parent, GstPadMode mode, gboolean active);
  static void run_task(gpointer pad);
  void give(Item item);
  void keep(const Item& item);
  void push_next();
  void note(GstFlowReturn flow);

  GstPad* const pad_;  // borrowed: owns this object

  mutable std::mutex mutex_;  // guards all that follows but position_
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool active_ = false;
  bool open_ = false;  // items are taken
  bool failed_ = false;

  GstClockTime position_ = 0;  // push_*() only: everything before has been given
};

}  // namespace captiond::gst
