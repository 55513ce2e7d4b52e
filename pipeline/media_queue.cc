#include "pipeline/media_queue.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "elements/gst_handle.h"
#include "pipeline/element_factory.h"

namespace captiond {
namespace {

// Timestamps are rounded; less than this is no hole.
constexpr GstClockTime kRounding = GST_MSECOND;

// A hole of the source shorter than one patch of audio is the jitter of its clock, and not told.
constexpr GstClockTime kSourceGapMin = 40 * GST_MSECOND;

// Holes of the source that may lie in the queue; one beyond that is counted as given up by it.
constexpr std::size_t kHolesMax = 1024;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// Stream time, nanoseconds.
struct Range {
  GstClockTime start = 0;
  GstClockTime end = 0;
};

// The timestamps of what passes a pad. One streaming thread.
class Timeline {
 public:
  Timeline() { gst_segment_init(&segment_, GST_FORMAT_UNDEFINED); }

  void take(GstEvent* event) {
    if (GST_EVENT_TYPE(event) != GST_EVENT_SEGMENT) return;
    gst_event_copy_segment(event, &segment_);
    expected_ = GST_CLOCK_TIME_NONE;
  }

  // Where `buffer` lies; nullopt if its timestamps do not say.
  std::optional<Range> range(const GstBuffer* buffer) const {
    if (segment_.format != GST_FORMAT_TIME || !GST_BUFFER_PTS_IS_VALID(buffer)) return std::nullopt;
    const GstClockTime length =
        GST_BUFFER_DURATION_IS_VALID(buffer) ? GST_BUFFER_DURATION(buffer) : 0;
    const GstClockTime pts = GST_BUFFER_PTS(buffer);
    const GstClockTime start = gst_segment_to_stream_time(&segment_, GST_FORMAT_TIME, pts);
    if (!GST_CLOCK_TIME_IS_VALID(start)) return std::nullopt;
    return Range{start, start + length};
  }

  // What is missing between the buffer before this one and `range`.
  std::optional<Range> hole_before(const Range& range) {
    const GstClockTime expected = std::exchange(expected_, range.end);
    if (!GST_CLOCK_TIME_IS_VALID(expected) || range.start < expected + kRounding)
      return std::nullopt;
    return Range{expected, range.start};
  }

  void expect(GstClockTime stream_time) { expected_ = stream_time; }

 private:
  GstSegment segment_{};
  GstClockTime expected_ = GST_CLOCK_TIME_NONE;  // stream time of the next buffer
};

void post(GstElement* queue, GstStructure* structure) {
  gst_element_post_message(queue, gst_message_new_element(GST_OBJECT(queue), structure));
}

void post_gap(GstElement* queue, const Range& gap, bool full) {
  post(queue, gst_structure_new("captiond-gap", "start", G_TYPE_UINT64, guint64{gap.start}, "end",
                                G_TYPE_UINT64, guint64{gap.end}, "full", G_TYPE_BOOLEAN,
                                gboolean{full}, nullptr));
}

}  // namespace

// Written by the streaming threads on both sides, read by anybody.
struct MediaQueue::Counters {
  std::atomic<std::uint64_t> buffers{0};
  std::atomic<std::int64_t> position_ns{0};
  std::atomic<std::int64_t> last_buffer_ns{now_ns()};    // steady clock
  std::atomic<GstClockTime> first{GST_CLOCK_TIME_NONE};  // stream time of the first buffer
  std::atomic<bool> ended{false};

  std::mutex mutex;
  std::deque<Range> holes;  // of the source, not yet seen to leave; guarded by mutex
};

// What comes in. The decoder's streaming thread only.
struct MediaQueue::EntryWatch {
  std::shared_ptr<Counters> counters;
  GstElement* queue;  // borrowed; the probe goes with its pad
  bool tells_holes;
  Timeline timeline{};

  GstPadProbeReturn take(GstPadProbeInfo* info) {
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
      GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
      if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) counters->ended = true;
      timeline.take(event);
      return GST_PAD_PROBE_OK;
    }
    const auto range = timeline.range(GST_PAD_PROBE_INFO_BUFFER(info));
    if (counters->buffers++ == 0) {
      if (range) counters->first = range->start;
      post(queue, gst_structure_new_empty("captiond-first-media"));
    }
    counters->last_buffer_ns = now_ns();
    if (!range) return GST_PAD_PROBE_OK;
    counters->position_ns = static_cast<std::int64_t>(range->end);
    const auto hole = timeline.hole_before(*range);
    if (!hole || !tells_holes) return GST_PAD_PROBE_OK;
    {
      std::lock_guard lock(counters->mutex);
      if (counters->holes.size() == kHolesMax) counters->holes.pop_front();
      counters->holes.push_back(*hole);
    }
    if (hole->end - hole->start >= kSourceGapMin) post_gap(queue, *hole, false);
    return GST_PAD_PROBE_OK;
  }
};

// What leaves: a hole that did not come in was made by the queue. The streaming thread behind the
// queue only.
struct MediaQueue::ExitWatch {
  std::shared_ptr<Counters> counters;
  GstElement* queue;  // borrowed; the probe goes with its pad
  Timeline timeline{};
  bool first = true;  // no buffer has left yet

  GstPadProbeReturn take(GstPadProbeInfo* info) {
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
      timeline.take(GST_PAD_PROBE_INFO_EVENT(info));
      return GST_PAD_PROBE_OK;
    }
    const auto range = timeline.range(GST_PAD_PROBE_INFO_BUFFER(info));
    if (!range) return GST_PAD_PROBE_OK;
    // What was given up before the first buffer could leave is missing too.
    if (std::exchange(first, false)) timeline.expect(counters->first);
    const auto hole = timeline.hole_before(*range);
    if (!hole) return GST_PAD_PROBE_OK;
    const GstClockTime missing = hole->end - hole->start;
    if (missing >= left_out_by_the_source(*hole) + kRounding) post_gap(queue, *hole, true);
    return GST_PAD_PROBE_OK;
  }

  // How much of `hole` was missing when it came in.
  GstClockTime left_out_by_the_source(const Range& hole) const {
    GstClockTime total = 0;
    std::lock_guard lock(counters->mutex);
    auto& holes = counters->holes;
    for (; !holes.empty() && holes.front().start < hole.end; holes.pop_front()) {
      const GstClockTime start = std::max(hole.start, holes.front().start);
      const GstClockTime end = std::min(hole.end, holes.front().end);
      if (end > start) total += end - start;
    }
    return total;
  }
};

namespace {

template <class Watch>
void add_probe(GstElement* queue, const char* pad_name, Watch* watch) {
  constexpr auto kMask =
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM);
  const gst::PadHandle pad(gst_element_get_static_pad(queue, pad_name));
  gst_pad_add_probe(
      pad.get(), kMask,
      [](GstPad*, GstPadProbeInfo* info, gpointer data) {
        return static_cast<Watch*>(data)->take(info);
      },
      watch, [](gpointer data) { delete static_cast<Watch*>(data); });
}

}  // namespace

MediaQueue::MediaQueue(GstBin* bin, const std::string& name, const Limits& limits)
    : queue_(add_element(bin, "queue", name)), counters_(std::make_shared<Counters>()) {
  g_object_set(queue_, "max-size-buffers", guint{limits.frames}, "max-size-bytes", guint{0},
               "max-size-time", static_cast<guint64>(limits.time.count()), nullptr);
  gst_util_set_object_arg(G_OBJECT(queue_), "leaky", limits.leaky ? "downstream" : "no");
  add_probe(queue_, "sink", new EntryWatch{counters_, queue_, limits.leaky});
  if (limits.leaky) add_probe(queue_, "src", new ExitWatch{counters_, queue_});
}

std::uint64_t MediaQueue::buffers() const { return counters_->buffers; }

std::chrono::nanoseconds MediaQueue::position() const {
  return std::chrono::nanoseconds(counters_->position_ns);
}

std::chrono::nanoseconds MediaQueue::starved() const {
  guint waiting = 0;
  g_object_get(queue_, "current-level-buffers", &waiting, nullptr);
  if (waiting > 0 || counters_->ended) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(now_ns() - counters_->last_buffer_ns);
}

}  // namespace captiond
