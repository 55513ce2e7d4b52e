#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/audio/audio.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>

#include "elements/caption_message.h"
#include "elements/engine_context.h"
#include "elements/gst_handle.h"
#include "tests/support/captioner_bench.h"
#include "tests/support/scripted_engine.h"

namespace captiond::test {

inline constexpr const char* kAudioPatchCaps =
    "application/x-audio-patches, samples=(int)640, rate=(int)16000";

inline gst::ContextHandle context_of(std::shared_ptr<Engine> engine) {
  return gst::make_engine_context({std::move(engine), {}});
}

// A buffer with `test_patch(number, voice)`; upstream's word on speech as its meta.
inline gst::BufferHandle patch_buffer(std::size_t number, bool voice, GstClockTime offset = 0) {
  const AudioPatch patch = test_patch(number, voice);
  gst::BufferHandle buffer(gst_buffer_new_memdup(patch.samples.data(), sizeof(patch.samples)));
  GST_BUFFER_PTS(buffer.get()) = offset + static_cast<GstClockTime>(patch.start.count());
  GST_BUFFER_DURATION(buffer.get()) = 40 * GST_MSECOND;
  gst_buffer_add_audio_level_meta(buffer.get(), 30, voice);
  return buffer;
}

inline std::string to_seconds(GstClockTime time) {
  const auto ms = GST_TIME_AS_MSECONDS(time);
  const std::string rest = std::to_string(ms % 1000);
  return std::to_string(ms / 1000) + "." + std::string(3 - rest.size(), '0') + rest;
}

// One gemmacaptioner on a scripted engine between harness pads, playing, with a bus of its own.
class CaptionHarness {
 public:
  // `line` as in gst-launch; `src_pad` may be null.
  CaptionHarness(const char* line, std::shared_ptr<ScriptedEngine> of_engine,
                 const char* src_pad = "transcript")
      : engine(std::move(of_engine)), bus_(gst_bus_new()) {
    GError* error = nullptr;
    element_.reset(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(line, &error))));
    BOOST_REQUIRE(error == nullptr);
    gst_element_set_bus(element_.get(), bus_.get());
    if (engine) gst_element_set_context(element_.get(), context_of(engine).get());
    harness_.reset(gst_harness_new_with_element(element_.get(), "audio", src_pad));
    if (src_pad != nullptr) log_what_comes_out();
  }
  ~CaptionHarness() {
    // Harness, element and context first: contexts of the engine live in the element.
    harness_.reset();
    gst_element_set_state(element_.get(), GST_STATE_NULL);
    gst_element_set_bus(element_.get(), nullptr);
  }
  CaptionHarness(const CaptionHarness&) = delete;
  CaptionHarness& operator=(const CaptionHarness&) = delete;

  GstHarness* get() const { return harness_.get(); }
  GstElement* element() const { return element_.get(); }

  void start() { gst_harness_set_src_caps_str(get(), kAudioPatchCaps); }
  GstFlowReturn push(gst::BufferHandle buffer) { return gst_harness_push(get(), buffer.release()); }
  GstFlowReturn say(std::size_t count, bool voice) {
    for (std::size_t i = 0; i < count; ++i) {
      const GstFlowReturn flow = push(patch_buffer(number++, voice));
      if (flow != GST_FLOW_OK) return flow;
    }
    return GST_FLOW_OK;
  }
  bool push_event(GstEvent* event) { return gst_harness_push_event(get(), event) != FALSE; }

  // Sends EOS and waits until it has come out.
  void finish() {
    BOOST_REQUIRE(push_event(gst_event_new_eos()));
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return eos_; });
  }
  // What came out of the src pad so far: "gap 0.000-1.000", "text 1.000-2.500 good morning",
  // and other events by name.
  std::vector<std::string> out() {
    std::lock_guard lock(mutex_);
    return out_;
  }

  // The oldest message of a type that was not popped yet; null if there is none.
  gst::MessageHandle pop(GstMessageType type) { return pop_within(type, 0); }
  // Waits for it.
  gst::MessageHandle wait_for(GstMessageType type) {
    gst::MessageHandle message = pop_within(type, 20 * GST_SECOND);
    BOOST_REQUIRE(message != nullptr);
    return message;
  }
  // All captions on the bus since the last call, as lines.
  std::vector<std::string> captions() {
    std::vector<std::string> lines;
    while (const auto message = pop(GST_MESSAGE_ELEMENT)) {
      if (const auto event = gst::parse_caption(message.get())) lines.push_back(to_line(*event));
    }
    return lines;
  }
  // The texts of all ERROR messages since the last call.
  std::vector<std::string> errors() {
    std::vector<std::string> texts;
    while (const auto message = pop(GST_MESSAGE_ERROR)) {
      GError* error = nullptr;
      gst_message_parse_error(message.get(), &error, nullptr);
      texts.emplace_back(gst::ErrorHandle(error)->message);
    }
    return texts;
  }

  const std::shared_ptr<ScriptedEngine> engine;
  std::size_t number = 0;  // of the next patch

 private:
  struct Teardown {
    void operator()(GstHarness* harness) const noexcept { gst_harness_teardown(harness); }
  };

  // Messages of other types stay.
  gst::MessageHandle pop_within(GstMessageType type, GstClockTime timeout) {
    const auto wanted = [type](const auto& m) { return GST_MESSAGE_TYPE(m.get()) == type; };
    auto found = std::find_if(messages_.begin(), messages_.end(), wanted);
    while (found == messages_.end()) {
      gst::MessageHandle next(gst_bus_timed_pop(bus_.get(), timeout));
      if (!next) return nullptr;
      messages_.push_back(std::move(next));
      found = std::find_if(messages_.end() - 1, messages_.end(), wanted);
    }
    gst::MessageHandle message = std::move(*found);
    messages_.erase(found);
    return message;
  }

  void log_what_comes_out() {
    const auto probe = [](GstPad*, GstPadProbeInfo* info, gpointer self) {
      static_cast<CaptionHarness*>(self)->log(info);
      return GST_PAD_PROBE_OK;
    };
    gst_pad_add_probe(
        get()->sinkpad,
        GstPadProbeType(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM |
                        GST_PAD_PROBE_TYPE_EVENT_FLUSH),
        probe, this, nullptr);
  }
  void log(GstPadProbeInfo* info) {
    std::string line;
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER) {
      GstBuffer* buffer = GST_PAD_PROBE_INFO_BUFFER(info);
      const gst::MappedBuffer mapped(buffer, GST_MAP_READ);
      const GstClockTime pts = GST_BUFFER_PTS(buffer);
      line = "text " + to_seconds(pts) + "-" + to_seconds(pts + GST_BUFFER_DURATION(buffer)) + " " +
             std::string(mapped.bytes().begin(), mapped.bytes().end());
    } else {
      GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
      line = GST_EVENT_TYPE_NAME(event);
      if (GST_EVENT_TYPE(event) == GST_EVENT_GAP) {
        log_gap(event);
        return;
      }
    }
    {
      std::lock_guard lock(mutex_);
      eos_ = eos_ || line == "eos";
      out_.push_back(line);
    }
    ended_.notify_all();
  }

  // How many gaps a silence comes in depends on the threads, so those that meet are joined.
  void log_gap(GstEvent* event) {
    GstClockTime start = 0;
    GstClockTime duration = 0;
    gst_event_parse_gap(event, &start, &duration);
    std::lock_guard lock(mutex_);
    const std::string joined = "gap " + to_seconds(gap_start_) + "-" + to_seconds(start);
    if (!out_.empty() && out_.back() == joined) {
      out_.pop_back();
    } else {
      gap_start_ = start;
    }
    out_.push_back("gap " + to_seconds(gap_start_) + "-" + to_seconds(start + duration));
  }

  gst::BusHandle bus_;
  std::deque<gst::MessageHandle> messages_;  // taken from the bus, not yet popped
  gst::ElementHandle element_;
  std::unique_ptr<GstHarness, Teardown> harness_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable ended_;
  std::vector<std::string> out_;
  GstClockTime gap_start_ = 0;  // of the last line, if it is a gap
  bool eos_ = false;
};

}  // namespace captiond::test
