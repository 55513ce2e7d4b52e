#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/check/gstharness.h>
#include <gst/gst.h>

#include "elements/gst_handle.h"
#include "elements/registration.h"

namespace captiond::test {

// Global fixture: GStreamer with our elements, taken down again at the end so that the leaks tracer
// reports what is left.
struct Gst {
  Gst() {
    gst_init(nullptr, nullptr);
    BOOST_REQUIRE(gst::register_elements(nullptr));
  }
  ~Gst() { gst_deinit(); }
  Gst(const Gst&) = delete;
  Gst& operator=(const Gst&) = delete;
};

// One element between two harness pads, playing, with a bus of its own. The element's name and
// properties are as in gst-launch ("visionpatcher max-soft-tokens=140").
class Harness {
 public:
  explicit Harness(const char* launch_line)
      : harness_(gst_harness_new_parse(launch_line)), bus_(gst_bus_new()) {
    BOOST_REQUIRE(harness_ && harness_->element);
    gst_element_set_bus(harness_->element, bus_.get());
  }
  ~Harness() { gst_element_set_bus(harness_->element, nullptr); }
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  GstHarness* get() const { return harness_.get(); }
  GstBus* bus() const { return bus_.get(); }

  // Sends stream start, caps and a segment in time.
  void set_caps(const char* caps) { gst_harness_set_src_caps_str(get(), caps); }
  GstFlowReturn push(gst::BufferHandle buffer) { return gst_harness_push(get(), buffer.release()); }
  bool push_event(GstEvent* event) { return gst_harness_push_event(get(), event); }
  void flush() {
    BOOST_REQUIRE(push_event(gst_event_new_flush_start()));
    BOOST_REQUIRE(push_event(gst_event_new_flush_stop(TRUE)));
  }

  // What has come out and was not taken yet; nullptr if nothing.
  gst::BufferHandle try_pull() { return gst::BufferHandle(gst_harness_try_pull(get())); }
  std::size_t waiting() const { return gst_harness_buffers_in_queue(get()); }

  // The texts of all ERROR messages posted since the last call.
  std::vector<std::string> pop_errors() {
    std::vector<std::string> texts;
    while (const auto message =
               gst::MessageHandle(gst_bus_pop_filtered(bus_.get(), GST_MESSAGE_ERROR))) {
      GError* error = nullptr;
      gst_message_parse_error(message.get(), &error, nullptr);
      texts.emplace_back(gst::ErrorHandle(error)->message);
    }
    return texts;
  }

 private:
  struct Teardown {
    void operator()(GstHarness* harness) const noexcept { gst_harness_teardown(harness); }
  };
  std::unique_ptr<GstHarness, Teardown> harness_;
  gst::BusHandle bus_;
};

// Everything that passes a pad, in order: "buffer" or the event's name. Must outlive the pad's last
// use.
class PadLog {
 public:
  // The pad that receives what the harness's element sends.
  explicit PadLog(const Harness& harness) {
    gst_pad_add_probe(
        harness.get()->sinkpad,
        GstPadProbeType(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM |
                        GST_PAD_PROBE_TYPE_EVENT_FLUSH),
        [](GstPad*, GstPadProbeInfo* info, gpointer self) {
          static_cast<PadLog*>(self)->names_.emplace_back(
              GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER
                  ? "buffer"
                  : GST_EVENT_TYPE_NAME(GST_PAD_PROBE_INFO_EVENT(info)));
          return GST_PAD_PROBE_OK;
        },
        this, nullptr);
  }
  PadLog(const PadLog&) = delete;
  PadLog& operator=(const PadLog&) = delete;

  // All names since the last call, one space between two.
  std::string take() {
    std::string text;
    for (const auto& name : names_) text += (text.empty() ? "" : " ") + name;
    names_.clear();
    return text;
  }

 private:
  std::vector<std::string> names_;
};

// Plays a pipeline from NULL to its end and back. Fails on an ERROR message, or after 20 s.
inline void play(GstElement* pipeline) {
  const gst::BusHandle bus(gst_element_get_bus(pipeline));
  BOOST_REQUIRE(gst_element_set_state(pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
  const gst::MessageHandle message(gst_bus_timed_pop_filtered(
      bus.get(), 20 * GST_SECOND, GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  BOOST_REQUIRE(message != nullptr);
  BOOST_REQUIRE_EQUAL(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_EOS);
  BOOST_REQUIRE(gst_element_set_state(pipeline, GST_STATE_NULL) == GST_STATE_CHANGE_SUCCESS);
}

inline void play_repeatedly(const char* launch_line, int times) {
  GError* parse_error = nullptr;
  const gst::ElementHandle pipeline(
      GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(launch_line, &parse_error))));
  BOOST_REQUIRE(!parse_error);
  for (int i = 0; i < times; ++i) play(pipeline.get());
}

}  // namespace captiond::test
