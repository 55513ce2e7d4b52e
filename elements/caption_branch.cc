#include "elements/caption_branch.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "elements/caption_message.h"
#include "elements/guarded.h"

namespace captiond::gst {
namespace {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

EventHandle copy(const GstEvent* event) {
  return EventHandle(gst_event_ref(const_cast<GstEvent*>(event)));
}

}  // namespace

CaptionBranch::CaptionBranch(Surroundings surroundings, GstClockTime latency)
    : around_(std::move(surroundings)), latency_(latency) {
  gst_segment_init(&in_segment_, GST_FORMAT_UNDEFINED);
  gst_segment_init(&out_segment_, GST_FORMAT_TIME);
}

bool CaptionBranch::handle_event(EventHandle event) {
  switch (GST_EVENT_TYPE(event.get())) {
    case GST_EVENT_STREAM_START:
      return pass_stream_start(std::move(event));
    case GST_EVENT_CAPS: {
      GstCaps* caps = nullptr;
      gst_event_parse_caps(event.get(), &caps);
      set_caps(caps);
      return true;
    }
    case GST_EVENT_SEGMENT:
      return pass_segment(event.get());
    case GST_EVENT_GAP:
      return pass_gap(event.get());
    case GST_EVENT_EOS:
      return pass_end(std::move(event));
    case GST_EVENT_FLUSH_START:
      start_flush(event);
      return true;
    case GST_EVENT_FLUSH_STOP:
      stop_flush(event);
      return true;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
    case GST_EVENT_CUSTOM_DOWNSTREAM_OOB:
    case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
      for (const Output& out : around_.outputs) out.text().push_event(copy(event.get()));
      return true;
    default:
      // Tags, tables of contents and the like describe the medium, not captions.
      return true;
  }
}

bool CaptionBranch::pass_stream_start(EventHandle event) {
  set_waiting_start(std::shared_ptr<GstEvent>(event.release(), gst_event_unref));
  return worker_->finish_then([this] { push_waiting_start(); });
}

void CaptionBranch::set_waiting_start(std::shared_ptr<GstEvent> event) {
  std::lock_guard lock(waiting_mutex_);
  waiting_start_ = std::move(event);
}

// What downstream sees of the stream: once, in its place or when a flush drops that place.
void CaptionBranch::push_waiting_start() {
  std::shared_ptr<GstEvent> event;
  {
    std::lock_guard lock(waiting_mutex_);
    event.swap(waiting_start_);
  }
  if (!event) return;
  for (const Output& out : around_.outputs) {
    out.text().push_stream_start(event.get(), out.language);
  }
}

bool CaptionBranch::pass_segment(GstEvent* event) {
  const GstSegment* segment = nullptr;
  gst_event_parse_segment(event, &segment);
  gst_segment_copy_into(segment, &in_segment_);
  if (segment->format != GST_FORMAT_TIME || segment->rate <= 0) return true;  // see stream_time()
  worker_->set_live(is_live());
  return worker_->finish_then([this, now = in_segment_] {
    out_segment_ = now;
    for (const Output& out : around_.outputs) out.text().push_segment(now);
  });
}

// Nothing was recorded for a while: what was said before is finished.
bool CaptionBranch::pass_gap(GstEvent* event) {
  GstClockTime start = GST_CLOCK_TIME_NONE;
  GstClockTime duration = GST_CLOCK_TIME_NONE;
  gst_event_parse_gap(event, &start, &duration);
  const GstClockTime end = GST_CLOCK_TIME_IS_VALID(duration) ? start + duration : start;
  return worker_->finish_then([this, end] {
    for (const Output& out : around_.outputs) out.text().push_gap(end);
  });
}

bool CaptionBranch::pass_end(EventHandle event) {
  const std::shared_ptr<GstEvent> shared(event.release(), gst_event_unref);
  return worker_->finish_then([this, shared] {
    at_end();
    for (const Output& out : around_.outputs) out.text().push_event(copy(shared.get()));
  });
}

// The text pads first, so that the worker does not wait for room in one of them.
void CaptionBranch::start_flush(const EventHandle& event) {
  for (const Output& out : around_.outputs) out.text().start_flush(copy(event.get()));
  worker_->flush();
  push_waiting_start();  // nobody else pushes now, and the pads keep it until the flush is over
}

void CaptionBranch::stop_flush(const EventHandle& event) {
  gst_segment_init(&in_segment_, GST_FORMAT_UNDEFINED);
  for (const Output& out : around_.outputs) out.text().stop_flush(copy(event.get()));
  worker_->stop_flush();
}

bool CaptionBranch::is_live() const {
  if (around_.live != LiveMode::kAuto) return around_.live == LiveMode::kTrue;
  const QueryHandle query(gst_query_new_latency());
  gboolean live = FALSE;
  if (gst_pad_peer_query(around_.sink, query.get())) {
    gst_query_parse_latency(query.get(), &live, nullptr, nullptr);
  }
  return live != FALSE;
}

std::optional<StreamTime> CaptionBranch::stream_time(GstClockTime pts) const {
  const auto refuse = [this](const std::string& what) {
    throw std::runtime_error(std::string("Pad '") + GST_PAD_NAME(around_.sink) + "' got " + what);
  };
  if (in_segment_.format != GST_FORMAT_TIME) {
    refuse("data without a segment in time before it: put audiopatcher or visionpatcher there.");
  }
  if (in_segment_.rate <= 0) {
    refuse("data that are played backwards, and speech has but one direction: play forwards.");
  }
  if (!GST_CLOCK_TIME_IS_VALID(pts)) {
    refuse(
        "a buffer without a timestamp, and captions need times: put audiopatcher or "
        "visionpatcher there.");
  }
  guint64 time = 0;
  const int sign = gst_segment_to_stream_time_full(&in_segment_, GST_FORMAT_TIME, pts, &time);
  if (sign <= 0 || !gst_segment_clip(&in_segment_, GST_FORMAT_TIME, pts, pts, nullptr, nullptr)) {
    return std::nullopt;
  }
  return StreamTime(static_cast<StreamTime::rep>(time));
}

GstFlowReturn CaptionBranch::flow_after(bool taken) const {
  for (const Output& out : around_.outputs) {
    if (out.text().failed()) return GST_FLOW_ERROR;
  }
  if (taken) return GST_FLOW_OK;
  return failed_ ? GST_FLOW_ERROR : GST_FLOW_FLUSHING;
}

void CaptionBranch::at_end() {
  gst_element_post_message(element(), gst_message_new_element(GST_OBJECT(element()),
                                                              to_structure(counters()).release()));
}

bool CaptionBranch::handle_latency(GstQuery* query) const {
  if (!gst_pad_peer_query(around_.sink, query)) return false;
  gboolean live = FALSE;
  GstClockTime min = 0;
  GstClockTime max = GST_CLOCK_TIME_NONE;
  gst_query_parse_latency(query, &live, &min, &max);
  gst_query_set_latency(query, live, min + latency_,
                        GST_CLOCK_TIME_IS_VALID(max) ? max + latency_ : GST_CLOCK_TIME_NONE);
  return true;
}

TextPad* CaptionBranch::output(const std::string& name) const {
  for (const Output& out : around_.outputs) {
    if (out.name == name) return &out.text();
  }
  return nullptr;
}

// Within the segment: the last patch of a medium is padded and may reach beyond.
GstClockTime CaptionBranch::timestamp(StreamTime time) const {
  guint64 position = 0;
  const int sign = gst_segment_position_from_stream_time_full(
      &out_segment_, GST_FORMAT_TIME, static_cast<guint64>(time.count()), &position);
  if (sign <= 0 || position < out_segment_.start) return out_segment_.start;
  return std::min<guint64>(position, out_segment_.stop);  // GST_CLOCK_TIME_NONE is the greatest
}

void CaptionBranch::push_text(const std::string& pad, const std::string& text, StreamTime start,
                              StreamTime end) {
  if (TextPad* out = output(pad)) out->push_text(text, timestamp(start), timestamp(end));
}

void CaptionBranch::tell(const CaptionEvent& event) {
  if (StructureHandle structure = to_structure(event)) {
    gst_element_post_message(element(),
                             gst_message_new_element(GST_OBJECT(element()), structure.release()));
  }
  std::visit(Overloaded{
                 [this](const TranscriptEvent& e) {
                   if (e.final) push_text("transcript", e.text, e.start, e.end);
                 },
                 [this](const TranslationEvent& e) {
                   push_text("translation_" + e.language, e.text, e.start, e.end);
                 },
                 [this](const SceneEvent& e) { push_text("scene", e.text, e.time, e.end); },
                 [this](const SilenceEvent& e) {
                   for (const Output& out : around_.outputs) out.text().push_gap(timestamp(e.end));
                 },
                 [](const LossEvent&) {},
             },
             event);
}

void CaptionBranch::fail(std::exception_ptr error) {
  if (failed_.exchange(true)) return;
  guarded(element(), 0, [&]() -> int { std::rethrow_exception(error); });
}

void CaptionBranch::shut() {
  for (const Output& out : around_.outputs) out.text().shut();
  if (worker_) worker_->stop();
}

}  // namespace captiond::gst
