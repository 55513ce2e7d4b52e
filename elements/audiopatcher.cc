#include "elements/audiopatcher.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gst/audio/audio.h>

#include "elements/audio_patch_framer.h"
#include "elements/gst_handle.h"
#include "elements/guarded.h"
#include "elements/patch_caps.h"

GST_DEBUG_CATEGORY_STATIC(captiond_audio_patcher_debug);
#define GST_CAT_DEFAULT captiond_audio_patcher_debug

namespace {

using captiond::AudioPatchFramer;
using captiond::FramedPatch;
using captiond::VoiceChange;
using captiond::gst::BufferHandle;
using captiond::gst::CapsHandle;
using captiond::gst::EventHandle;
using captiond::gst::guarded;
using std::chrono::nanoseconds;

GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPTIOND_AUDIO_SAMPLES_CAPS));
GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPTIOND_AUDIO_PATCHES_CAPS));

constexpr gint kRate = 16000;

nanoseconds to_chrono(GstClockTime time) { return nanoseconds(static_cast<std::int64_t>(time)); }

BufferHandle to_buffer(const FramedPatch& patch) {
  BufferHandle buffer(gst_buffer_new_memdup(patch.samples.data(), sizeof(patch.samples)));
  GST_BUFFER_PTS(buffer.get()) = static_cast<GstClockTime>(patch.start.count());
  GST_BUFFER_DURATION(buffer.get()) = static_cast<GstClockTime>(patch.duration.count());
  if (patch.discontinuity) GST_BUFFER_FLAG_SET(buffer.get(), GST_BUFFER_FLAG_DISCONT);
  if (patch.voice) {
    gst_buffer_add_audio_level_meta(buffer.get(), static_cast<guint8>(patch.voice->level),
                                    patch.voice->active);
  }
  return buffer;
}

}  // namespace

struct CaptiondAudioPatcherImpl {
  GstElement* element;  // borrowed: owns this object
  GstPad* sink;         // borrowed: owned by the element
  GstPad* src;          // borrowed: owned by the element

  // Streaming thread only, under the sink pad's stream lock; fresh again in READY.
  struct State {
    AudioPatchFramer framer;
    GstSegment segment;  // undefined format until the first SEGMENT event
    bool has_caps = false;
    std::vector<float> samples;  // of the current buffer

    State() { gst_segment_init(&segment, GST_FORMAT_UNDEFINED); }
  };
  State state{};

  GstFlowReturn chain(BufferHandle buffer);
  bool handle_event(EventHandle event);
  bool handle_query(GstQuery* query);

 private:
  void require_usable_stream() const;
  void read_samples(GstBuffer* buffer);
  GstFlowReturn push(const FramedPatch& patch);
  void drain();
  void set_caps(const GstEvent* event);
  void set_segment(GstEvent* event);
  void gap(GstEvent* event);
};

// Throws what a caption can never be made of; the sentence says what to put before the element.
void CaptiondAudioPatcherImpl::require_usable_stream() const {
  if (!state.has_caps) {
    throw std::runtime_error(
        "audiopatcher got data without caps: it takes " CAPTIOND_AUDIO_SAMPLES_CAPS
        ", so put rawaudioparse or a decoder and audioconvert ! audioresample before it");
  }
  if (state.segment.format != GST_FORMAT_TIME) {
    throw std::runtime_error(std::string("audiopatcher needs a segment in time, not in ") +
                             gst_format_get_name(state.segment.format) +
                             ": put rawaudioparse or a decoder before it");
  }
  if (state.segment.rate <= 0.0) {
    throw std::runtime_error("audiopatcher cannot cut audio that is played backwards (rate " +
                             std::to_string(state.segment.rate) + ")");
  }
}

// Copied, because a part of another buffer may lie where no float may lie.
void CaptiondAudioPatcherImpl::read_samples(GstBuffer* buffer) {
  const gsize size = gst_buffer_get_size(buffer);
  if (size % sizeof(float) != 0) {
    throw std::runtime_error("audiopatcher got a buffer of " + std::to_string(size) +
                             " bytes, which is no whole number of float32 samples");
  }
  state.samples.resize(size / sizeof(float));
  if (gst_buffer_extract(buffer, 0, state.samples.data(), size) != size) {
    throw std::runtime_error("audiopatcher cannot read a buffer of " + std::to_string(size) +
                             " bytes");
  }
}

GstFlowReturn CaptiondAudioPatcherImpl::chain(BufferHandle buffer) {
  require_usable_stream();
  buffer.reset(gst_audio_buffer_clip(buffer.release(), &state.segment, kRate, sizeof(float)));
  if (!buffer) return GST_FLOW_OK;  // wholly outside the segment
  read_samples(buffer.get());
  captiond::AudioBlock block{.samples = state.samples,
                             .discontinuity = GST_BUFFER_IS_DISCONT(buffer.get()) != 0};
  if (GST_BUFFER_PTS_IS_VALID(buffer.get())) block.start = to_chrono(GST_BUFFER_PTS(buffer.get()));
  if (const auto* meta = gst_buffer_get_audio_level_meta(buffer.get())) {
    block.voice = VoiceChange{.active = meta->voice_activity != 0, .level = meta->level};
    GST_DEBUG_OBJECT(element, "voice activity %d at %" GST_TIME_FORMAT, meta->voice_activity,
                     GST_TIME_ARGS(GST_BUFFER_PTS(buffer.get())));
  }
  for (const FramedPatch& patch : state.framer.push(block)) {
    const GstFlowReturn flow = push(patch);
    if (flow != GST_FLOW_OK) return flow;
  }
  return GST_FLOW_OK;
}

GstFlowReturn CaptiondAudioPatcherImpl::push(const FramedPatch& patch) {
  GST_LOG_OBJECT(element, "patch at %" GST_TIME_FORMAT "%s", GST_TIME_ARGS(patch.start.count()),
                 patch.discontinuity ? ", discontinuity" : "");
  return gst_pad_push(src, to_buffer(patch).release());
}

// Sends what waits before an event that comes after it. What the push returns is downstream's
// answer to the next push too, so it is not looked at here.
void CaptiondAudioPatcherImpl::drain() {
  if (const auto rest = state.framer.drain()) push(*rest);
}

bool CaptiondAudioPatcherImpl::handle_event(EventHandle event) {
  switch (GST_EVENT_TYPE(event.get())) {
    case GST_EVENT_CAPS:
      state.has_caps = true;  // the pad has compared them with the template
      event.reset(
          gst_event_new_caps(CapsHandle(gst_static_pad_template_get_caps(&src_template)).get()));
      break;
    case GST_EVENT_SEGMENT:
      set_segment(event.get());
      break;
    case GST_EVENT_GAP:
      gap(event.get());
      break;
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_EOS:
      drain();
      break;
    case GST_EVENT_FLUSH_STOP:
      state.framer.reset(nanoseconds::zero());
      gst_segment_init(&state.segment, GST_FORMAT_UNDEFINED);
      break;
    default:
      break;
  }
  return gst_pad_push_event(src, event.release()) != FALSE;
}

// A repeated segment changes nothing; another one ends the patch and the time base.
void CaptiondAudioPatcherImpl::set_segment(GstEvent* event) {
  const GstSegment* segment = nullptr;
  gst_event_parse_segment(event, &segment);
  if (gst_segment_is_equal(segment, &state.segment)) return;
  drain();
  gst_segment_copy_into(segment, &state.segment);
  const bool in_time =
      segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID(segment->start);
  state.framer.reset(in_time ? to_chrono(segment->start) : nanoseconds::zero());
}

void CaptiondAudioPatcherImpl::gap(GstEvent* event) {
  GstClockTime start = GST_CLOCK_TIME_NONE;
  GstClockTime duration = GST_CLOCK_TIME_NONE;
  gst_event_parse_gap(event, &start, &duration);
  const auto length = GST_CLOCK_TIME_IS_VALID(duration) ? to_chrono(duration) : nanoseconds::zero();
  if (const auto rest = state.framer.gap(to_chrono(start), length)) push(*rest);
}

// The first sample of a patch waits for the last one. That is constant, so there is never a LATENCY
// message to post.
bool CaptiondAudioPatcherImpl::handle_query(GstQuery* query) {
  if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) {
    return gst_pad_query_default(src, GST_OBJECT(element), query) != FALSE;
  }
  if (!gst_pad_peer_query(sink, query)) return false;
  gboolean live = FALSE;
  GstClockTime min = 0;
  GstClockTime max = GST_CLOCK_TIME_NONE;
  gst_query_parse_latency(query, &live, &min, &max);
  constexpr auto kPatch = static_cast<GstClockTime>(AudioPatchFramer::kPatchDuration.count());
  gst_query_set_latency(query, live, min + kPatch,
                        GST_CLOCK_TIME_IS_VALID(max) ? max + kPatch : GST_CLOCK_TIME_NONE);
  return true;
}

struct _CaptiondAudioPatcher {
  GstElement parent;
  CaptiondAudioPatcherImpl* impl;
};

G_DEFINE_TYPE(CaptiondAudioPatcher, captiond_audio_patcher, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(audiopatcher, "audiopatcher", GST_RANK_NONE,
                            captiond_audio_patcher_get_type())

static CaptiondAudioPatcherImpl* impl_of(GstObject* object) {
  return CAPTIOND_AUDIO_PATCHER(object)->impl;
}

static void captiond_audio_patcher_init(CaptiondAudioPatcher* self) {
  GstPad* sink = gst_pad_new_from_static_template(&sink_template, "sink");
  GstPad* src = gst_pad_new_from_static_template(&src_template, "src");
  self->impl = new CaptiondAudioPatcherImpl{.element = GST_ELEMENT(self), .sink = sink, .src = src};
  gst_pad_set_chain_function(sink, [](GstPad*, GstObject* parent, GstBuffer* buffer) {
    BufferHandle owned(buffer);
    return guarded(parent, GST_FLOW_ERROR,
                   [&] { return impl_of(parent)->chain(std::move(owned)); });
  });
  gst_pad_set_event_function(sink, [](GstPad*, GstObject* parent, GstEvent* event) -> gboolean {
    EventHandle owned(event);
    return guarded(parent, false, [&] { return impl_of(parent)->handle_event(std::move(owned)); });
  });
  gst_pad_set_query_function(src, [](GstPad*, GstObject* parent, GstQuery* query) -> gboolean {
    return guarded(parent, false, [&] { return impl_of(parent)->handle_query(query); });
  });
  gst_element_add_pad(GST_ELEMENT(self), sink);
  gst_element_add_pad(GST_ELEMENT(self), src);
}

static void captiond_audio_patcher_finalize(GObject* object) {
  delete CAPTIOND_AUDIO_PATCHER(object)->impl;
  G_OBJECT_CLASS(captiond_audio_patcher_parent_class)->finalize(object);
}

static void captiond_audio_patcher_class_init(CaptiondAudioPatcherClass* klass) {
  GST_DEBUG_CATEGORY_INIT(captiond_audio_patcher_debug, "audiopatcher", 0, "audio to patches");
  G_OBJECT_CLASS(klass)->finalize = captiond_audio_patcher_finalize;

  auto* element = GST_ELEMENT_CLASS(klass);
  gst_element_class_add_static_pad_template(element, &sink_template);
  gst_element_class_add_static_pad_template(element, &src_template);
  gst_element_class_set_static_metadata(
      element, "Audio patcher", "Converter/Audio",
      "Cuts 16 kHz mono audio into the 40 ms patches that gemmacaptioner hears",
      "The captiond authors");
  element->change_state = [](GstElement* self, GstStateChange transition) {
    // Upwards nothing is left to do; downwards the pads are inactive once the parent is done.
    const GstStateChangeReturn result =
        GST_ELEMENT_CLASS(captiond_audio_patcher_parent_class)->change_state(self, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
      impl_of(GST_OBJECT(self))->state = CaptiondAudioPatcherImpl::State();
    }
    return result;
  };
}
