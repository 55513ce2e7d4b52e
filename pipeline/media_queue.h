#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <gst/gst.h>

namespace captiond {

// The queue between the decoder and the captioner, a GStreamer `queue` with a limit in time or in
// frames. For a file it blocks the decoder when it is full; for a live source it gives up its
// oldest part. It posts element messages:
//
//   captiond-first-media   at the first buffer
//   captiond-gap           for a live source: `start` and `end` (guint64, stream time in
//   nanoseconds)
//                          of what is missing, `full` (gboolean: given up here; else the source
//                          left it out)
//
// Main thread, unless said otherwise.
class MediaQueue {
 public:
  struct Limits {
    std::chrono::nanoseconds time{};  // 0: no limit in time
    std::uint32_t frames = 0;         // 0: no limit in frames
    bool leaky = false;
  };

  // Adds a queue to `bin`, which owns it. Throws StreamError if GStreamer has no queue.
  MediaQueue(GstBin* bin, const std::string& name, const Limits& limits);

  GstElement* element() const { return queue_; }

  // Buffers that have come in. Any thread.
  std::uint64_t buffers() const;
  // Stream time at the end of what has come in. Any thread.
  std::chrono::nanoseconds position() const;
  // How long nothing has come in, since it was made or since the last buffer. Zero after the end of
  // the stream and while something waits in the queue: then it is not the source that is late.
  std::chrono::nanoseconds starved() const;

 private:
  struct Counters;
  struct EntryWatch;
  struct ExitWatch;
  GstElement* queue_;  // borrowed from the bin
  std::shared_ptr<Counters> counters_;
};

}  // namespace captiond
