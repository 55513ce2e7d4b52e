#include "pipeline/media_queue.h"

#include <atomic>

#include "elements/gst_handle.h"
#include "pipeline/element_factory.h"

namespace captiond {
namespace {

// A hole shorter than one patch of audio is rounding of timestamps.
constexpr GstClockTime kGapMin = 40 * GST_MSECOND;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

template <class T>
void delete_shared(gpointer data) {
  delete static_cast<std::shared_ptr<T>*>(data);
}

}  // namespace

// Written by the streaming threads on both sides, read by anybody.
struct MediaQueue::Counters {
  std::atomic<std::uint64_t> buffers{0};
  std::atomic<std::int64_t> position_ns{0};
  std::atomic<std::int64_t> last_buffer_ns{now_ns()};  // steady clock
  std::atomic<bool> ended{false};
  std::atomic<bool> overrun{false};  // something was given up since the last gap

  GstSegment segment{};  // of what comes in; its streaming thread only

  Counters() { gst_segment_init(&segment, GST_FORMAT_UNDEFINED); }

  GstPadProbeReturn take(GstPad* pad, GstPadProbeInfo* info) {
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
      GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
      if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) gst_event_copy_segment(event, &segment);
      if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) ended = true;
      return GST_PAD_PROBE_OK;
    }
    const GstBuffer* buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    if (buffers++ == 0) {
      GstElement* queue = GST_PAD_PARENT(pad);
      gst_element_post_message(
          queue, gst_message_new_element(GST_OBJECT(queue),
                                         gst_structure_new_empty("captiond-first-media")));
    }
    last_buffer_ns = now_ns();
    if (segment.format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer)) {
      const auto duration = GST_BUFFER_DURATION_IS_VALID(buffer) ? GST_BUFFER_DURATION(buffer) : 0;
      const auto end = GST_BUFFER_PTS(buffer) + duration;
      const auto time = gst_segment_to_stream_time(&segment, GST_FORMAT_TIME, end);
      if (GST_CLOCK_TIME_IS_VALID(time)) position_ns = static_cast<std::int64_t>(time);
    }
    return GST_PAD_PROBE_OK;
  }
};

// Looks for holes in what leaves the queue. The streaming thread behind the queue only.
struct MediaQueue::GapWatch {
  std::shared_ptr<Counters> counters;
  GstElement* queue;  // borrowed; the probe goes with its pad
  GstSegment segment{};
  GstClockTime expected = GST_CLOCK_TIME_NONE;  // PTS of the next buffer if nothing is missing

  GapWatch(std::shared_ptr<Counters> shared, GstElement* element)
      : counters(std::move(shared)), queue(element) {
    gst_segment_init(&segment, GST_FORMAT_UNDEFINED);
  }

  GstPadProbeReturn take(GstPadProbeInfo* info) {
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
      GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
      if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) {
        gst_event_copy_segment(event, &segment);
        expected = GST_CLOCK_TIME_NONE;
      }
      return GST_PAD_PROBE_OK;
    }
    const GstBuffer* buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    if (!GST_BUFFER_PTS_IS_VALID(buffer)) return GST_PAD_PROBE_OK;
    const GstClockTime begin = GST_BUFFER_PTS(buffer);
    if (GST_CLOCK_TIME_IS_VALID(expected) && begin >= expected + kGapMin) tell(expected, begin);
    const bool known = GST_BUFFER_DURATION_IS_VALID(buffer);
    expected = known ? begin + GST_BUFFER_DURATION(buffer) : GST_CLOCK_TIME_NONE;
    return GST_PAD_PROBE_OK;
  }

  void tell(GstClockTime from, GstClockTime to) const {
    if (segment.format != GST_FORMAT_TIME) return;
    const auto start = gst_segment_to_stream_time(&segment, GST_FORMAT_TIME, from);
    const auto end = gst_segment_to_stream_time(&segment, GST_FORMAT_TIME, to);
    if (!GST_CLOCK_TIME_IS_VALID(start) || !GST_CLOCK_TIME_IS_VALID(end)) return;
    const bool full = counters->overrun.exchange(false);
    gst_element_post_message(
        queue,
        gst_message_new_element(
            GST_OBJECT(queue), gst_structure_new("captiond-gap", "start", G_TYPE_UINT64,
                                                 guint64{start}, "end", G_TYPE_UINT64, guint64{end},
                                                 "full", G_TYPE_BOOLEAN, gboolean{full}, nullptr)));
  }
};

MediaQueue::MediaQueue(GstBin* bin, const std::string& name, const Limits& limits)
    : queue_(add_element(bin, "queue", name)), counters_(std::make_shared<Counters>()) {
  g_object_set(queue_, "max-size-buffers", guint{limits.frames}, "max-size-bytes", guint{0},
               "max-size-time", static_cast<guint64>(limits.time.count()), nullptr);
  gst_util_set_object_arg(G_OBJECT(queue_), "leaky", limits.leaky ? "downstream" : "no");

  constexpr auto kMask =
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM);
  const gst::PadHandle sink(gst_element_get_static_pad(queue_, "sink"));
  gst_pad_add_probe(
      sink.get(), kMask,
      [](GstPad* pad, GstPadProbeInfo* info, gpointer data) {
        return (*static_cast<std::shared_ptr<Counters>*>(data))->take(pad, info);
      },
      new std::shared_ptr<Counters>(counters_), delete_shared<Counters>);
  if (!limits.leaky) return;

  g_signal_connect_data(
      queue_, "overrun", G_CALLBACK(+[](GstElement*, gpointer data) {
        (*static_cast<std::shared_ptr<Counters>*>(data))->overrun = true;
      }),
      new std::shared_ptr<Counters>(counters_),
      [](gpointer data, GClosure*) { delete_shared<Counters>(data); }, GConnectFlags{});
  const gst::PadHandle src(gst_element_get_static_pad(queue_, "src"));
  gst_pad_add_probe(
      src.get(), kMask,
      [](GstPad*, GstPadProbeInfo* info, gpointer data) {
        return static_cast<GapWatch*>(data)->take(info);
      },
      new GapWatch(counters_, queue_), [](gpointer data) { delete static_cast<GapWatch*>(data); });
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
