#include "elements/text_pad.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "model/check.h"

namespace captiond::gst {
namespace {

constexpr std::size_t kCapacity = 64;
constexpr const char* kQdata = "captiond-text-pad";  // of the GstPad: the TextPad
constexpr const char* kCaps = "text/x-raw, format=(string)utf8";

}  // namespace

GstPad* TextPad::make(GstPadTemplate* pad_template, const std::string& name) {
  GstPad* pad = gst_pad_new_from_template(pad_template, name.c_str());
  g_object_set_qdata_full(G_OBJECT(pad), g_quark_from_static_string(kQdata), new TextPad(pad),
                          [](gpointer text_pad) { delete static_cast<TextPad*>(text_pad); });
  gst_pad_set_activatemode_function(pad, activate);
  gst_pad_use_fixed_caps(pad);
  return pad;
}

TextPad& TextPad::of(GstPad* pad) {
  const GQuark name = g_quark_from_static_string(kQdata);
  check(g_object_get_qdata(G_OBJECT(pad), name) != nullptr, "a pad that TextPad::make() made");
  return *static_cast<TextPad*>(g_object_get_qdata(G_OBJECT(pad), name));
}

// GStreamer's own gst_pad_create_stream_id() is for elements with one sink pad at most.
void TextPad::push_stream_start(GstEvent* upstream, const std::string& language) {
  const gchar* upstream_id = nullptr;
  gst_event_parse_stream_start(upstream, &upstream_id);
  const std::string id = std::string(upstream_id) + "/" + GST_PAD_NAME(pad_);
  EventHandle start(gst_event_new_stream_start(id.c_str()));
  guint group = GST_GROUP_ID_INVALID;
  if (gst_event_parse_group_id(upstream, &group)) gst_event_set_group_id(start.get(), group);
  give(std::move(start));
  const CapsHandle caps(gst_caps_from_string(kCaps));
  give(EventHandle(gst_event_new_caps(caps.get())));
  if (!language.empty()) {
    give(EventHandle(
        gst_event_new_tag(gst_tag_list_new(GST_TAG_LANGUAGE_CODE, language.c_str(), nullptr))));
  }
}

void TextPad::push_segment(const GstSegment& segment) {
  position_ = segment.start;
  give(EventHandle(gst_event_new_segment(&segment)));
}

void TextPad::push_text(const std::string& text, GstClockTime start, GstClockTime end) {
  if (text.empty()) {
    push_gap(end);
    return;
  }
  push_gap(start);
  BufferHandle buffer(gst_buffer_new_memdup(text.data(), text.size()));
  GST_BUFFER_PTS(buffer.get()) = start;
  if (end > start) GST_BUFFER_DURATION(buffer.get()) = end - start;
  position_ = std::max(position_, end);
  give(std::move(buffer));
}

void TextPad::push_gap(GstClockTime until) {
  if (until <= position_) return;
  give(Gap{position_, until});
  position_ = until;
}

void TextPad::push_event(EventHandle event) { give(std::move(event)); }

void TextPad::give(Item item) {
  {
    std::unique_lock lock(mutex_);
    const auto* gap = std::get_if<Gap>(&item);
    auto* last = items_.empty() ? nullptr : std::get_if<Gap>(&items_.back());
    if (gap != nullptr && last != nullptr && last->end == gap->start) {
      last->end = gap->end;
      return;
    }
    changed_.wait(lock, [this] { return !open_ || failed_ || items_.size() < kCapacity; });
    if (!open_ && active_) keep(item);
    if (!open_ || failed_) return;
    items_.push_back(std::move(item));
  }
  changed_.notify_all();
}

// What downstream must know of the stream outlives a flush: the pad sends it with what comes next.
void TextPad::keep(const Item& item) {
  const auto* event = std::get_if<EventHandle>(&item);
  if (event == nullptr || !GST_EVENT_IS_STICKY(event->get())) return;
  const GstEventType type = GST_EVENT_TYPE(event->get());
  if (type == GST_EVENT_SEGMENT || type == GST_EVENT_EOS) return;
  gst_pad_store_sticky_event(pad_, event->get());
}

// The pad's task: pushes one item, or waits for one.
void TextPad::push_next() {
  Item item;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !open_ || !items_.empty(); });
    if (!open_) {
      lock.unlock();
      gst_pad_pause_task(pad_);
      return;
    }
    item = std::move(items_.front());
    items_.pop_front();
  }
  changed_.notify_all();
  if (auto* buffer = std::get_if<BufferHandle>(&item)) {
    note(gst_pad_push(pad_, buffer->release()));
  } else if (auto* event = std::get_if<EventHandle>(&item)) {
    gst_pad_push_event(pad_, event->release());
  } else {
    const Gap& gap = std::get<Gap>(item);
    gst_pad_push_event(pad_, gst_event_new_gap(gap.start, gap.end - gap.start));
  }
}

// A pad that is not linked, or whose sink has had enough, is no error: its texts are dropped.
void TextPad::note(GstFlowReturn flow) {
  if (flow >= GST_FLOW_OK || flow == GST_FLOW_FLUSHING || flow == GST_FLOW_EOS ||
      flow == GST_FLOW_NOT_LINKED) {
    return;
  }
  {
    std::lock_guard lock(mutex_);
    failed_ = true;
    items_.clear();
  }
  changed_.notify_all();
  const ElementHandle element(gst_pad_get_parent_element(pad_));
  if (element) GST_ELEMENT_FLOW_ERROR(element.get(), flow);
}

void TextPad::start_flush(EventHandle event) {
  {
    std::lock_guard lock(mutex_);
    for (const Item& item : items_) keep(item);
    open_ = false;
    items_.clear();
  }
  changed_.notify_all();
  gst_pad_push_event(pad_, event.release());
  gst_pad_pause_task(pad_);
}

void TextPad::stop_flush(EventHandle event) {
  gst_pad_push_event(pad_, event.release());
  // Under the lock, so that a pad which is deactivated meanwhile does not get its task back.
  std::lock_guard lock(mutex_);
  if (!active_) return;
  open_ = true;
  gst_pad_start_task(pad_, run_task, pad_, nullptr);
}

void TextPad::shut() {
  {
    std::lock_guard lock(mutex_);
    open_ = false;
    items_.clear();
  }
  changed_.notify_all();
}

bool TextPad::failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

gboolean TextPad::activate(GstPad* pad, GstObject*, GstPadMode mode, gboolean active) {
  if (mode != GST_PAD_MODE_PUSH) return FALSE;
  TextPad& self = of(pad);
  if (!active) {
    {
      std::lock_guard lock(self.mutex_);
      self.active_ = false;
    }
    self.shut();
    return gst_pad_stop_task(pad);
  }
  std::lock_guard lock(self.mutex_);
  self.items_.clear();
  self.active_ = true;
  self.open_ = true;
  self.failed_ = false;
  self.position_ = 0;
  return gst_pad_start_task(pad, run_task, pad, nullptr);
}

void TextPad::run_task(gpointer pad) { of(GST_PAD(pad)).push_next(); }

}  // namespace captiond::gst
