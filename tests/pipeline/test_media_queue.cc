#define BOOST_TEST_MODULE media_queue
#include <chrono>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/gst.h>

#include "elements/gst_handle.h"
#include "pipeline/media_queue.h"

using captiond::MediaQueue;
using captiond::gst::BusHandle;
using captiond::gst::CapsHandle;
using captiond::gst::ElementHandle;
using captiond::gst::MessageHandle;
using captiond::gst::PadHandle;
using captiond::gst::SampleHandle;
using std::chrono::milliseconds;

namespace {

constexpr GstClockTime kBuffer = 20 * GST_MSECOND;

struct GStreamer {
  GStreamer() { gst_init(nullptr, nullptr); }
};

// A queue between a pad that the test pushes on and an appsink that takes one buffer and then waits
// until the test pulls it.
struct Bench {
  ElementHandle pipeline{GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new("bench")))};
  MediaQueue queue;
  GstElement* sink;
  PadHandle source{GST_PAD(gst_object_ref_sink(gst_pad_new("src", GST_PAD_SRC)))};

  explicit Bench(const MediaQueue::Limits& limits)
      : queue(GST_BIN(pipeline.get()), "queue", limits),
        sink(gst_element_factory_make("appsink", "sink")) {
    gst_bin_add(GST_BIN(pipeline.get()), sink);
    g_object_set(sink, "sync", FALSE, "async", FALSE, "max-buffers", 1u, nullptr);
    BOOST_REQUIRE(gst_element_link(queue.element(), sink));
    const PadHandle entry(gst_element_get_static_pad(queue.element(), "sink"));
    gst_pad_set_active(source.get(), TRUE);
    BOOST_REQUIRE(GST_PAD_LINK_SUCCESSFUL(gst_pad_link(source.get(), entry.get())));
    gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
    push(gst_event_new_stream_start("test"));
    const CapsHandle caps(gst_caps_new_empty_simple("audio/x-test"));
    push(gst_event_new_caps(caps.get()));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = GST_SECOND;  // stream time 0 is at PTS 1 s
    push(gst_event_new_segment(&segment));
  }
  ~Bench() { gst_element_set_state(pipeline.get(), GST_STATE_NULL); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void push(GstEvent* event) const { BOOST_REQUIRE(gst_pad_push_event(source.get(), event)); }
  void push_buffer(GstClockTime stream_time) const {
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, 4, nullptr);
    GST_BUFFER_PTS(buffer) = GST_SECOND + stream_time;
    GST_BUFFER_DURATION(buffer) = kBuffer;
    BOOST_REQUIRE(gst_pad_push(source.get(), buffer) == GST_FLOW_OK);
  }
  // Everything that is still in the queue, to its end. Returns the stream times.
  std::vector<GstClockTime> drain() const {
    push(gst_event_new_eos());
    std::vector<GstClockTime> times;
    while (true) {
      GstSample* sample = nullptr;
      g_signal_emit_by_name(sink, "pull-sample", &sample);
      if (sample == nullptr) return times;
      const SampleHandle owned(sample);
      times.push_back(GST_BUFFER_PTS(gst_sample_get_buffer(sample)) - GST_SECOND);
    }
  }
  struct Gap {
    guint64 start = 0;
    guint64 end = 0;
    gboolean full = FALSE;
  };
  std::vector<Gap> gaps() const {
    std::vector<Gap> found;
    const BusHandle bus(gst_element_get_bus(pipeline.get()));
    while (true) {
      const MessageHandle message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ELEMENT));
      if (!message) return found;
      const GstStructure* structure = gst_message_get_structure(message.get());
      if (!gst_structure_has_name(structure, "captiond-gap")) continue;
      Gap gap;
      gst_structure_get(structure, "start", G_TYPE_UINT64, &gap.start, "end", G_TYPE_UINT64,
                        &gap.end, "full", G_TYPE_BOOLEAN, &gap.full, nullptr);
      found.push_back(gap);
    }
  }
};

constexpr MediaQueue::Limits kLive = {.time = milliseconds(200), .frames = 0, .leaky = true};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(GStreamer);

BOOST_AUTO_TEST_CASE(what_a_full_live_queue_gives_up_is_told_exactly) {
  Bench bench(kLive);
  constexpr int kBuffers = 100;
  for (int i = 0; i < kBuffers; ++i) bench.push_buffer(static_cast<GstClockTime>(i) * kBuffer);
  const std::vector<GstClockTime> kept = bench.drain();
  BOOST_TEST(kept.size() < kBuffers / 2);
  BOOST_TEST(kept.back() == (kBuffers - 1) * kBuffer);
  GstClockTime missing = 0;
  for (const Bench::Gap& gap : bench.gaps()) {
    BOOST_TEST(gap.full == TRUE);
    BOOST_TEST(gap.end > gap.start);
    missing += gap.end - gap.start;
  }
  BOOST_TEST(missing + kept.size() * kBuffer == kBuffers * kBuffer);
}

BOOST_AUTO_TEST_CASE(what_a_live_source_leaves_out_is_told_as_its_own) {
  Bench bench({.time = std::chrono::seconds(10), .frames = 0, .leaky = true});
  bench.push_buffer(0);
  bench.push_buffer(kBuffer);
  bench.push_buffer(5 * kBuffer);
  bench.push_buffer(6 * kBuffer + GST_MSECOND);  // rounding is no gap
  BOOST_TEST(bench.drain().size() == 4u);
  const auto gaps = bench.gaps();
  BOOST_REQUIRE(gaps.size() == 1u);
  BOOST_TEST(gaps[0].start == 2 * kBuffer);
  BOOST_TEST(gaps[0].end == 5 * kBuffer);
  BOOST_TEST(gaps[0].full == FALSE);
}

BOOST_AUTO_TEST_CASE(holes_of_the_source_and_of_the_queue_are_told_apart) {
  Bench bench(kLive);
  // 2 s come, then 1 s is left out, then 2 s come; of all that the queue keeps about 0.2 s.
  for (GstClockTime i = 0; i < 100; ++i) bench.push_buffer(i * kBuffer);
  for (GstClockTime i = 150; i < 250; ++i) bench.push_buffer(i * kBuffer);
  const std::vector<GstClockTime> kept = bench.drain();
  GstClockTime by_source = 0, by_queue = 0;
  for (const Bench::Gap& gap : bench.gaps()) {
    (gap.full ? by_queue : by_source) += gap.end - gap.start;
  }
  BOOST_TEST(by_source == GST_SECOND);
  // A hole of the queue that swallows one of the source is told whole.
  BOOST_TEST(by_queue + kept.size() * kBuffer >= 200 * kBuffer);
  BOOST_TEST(by_queue + kept.size() * kBuffer <= 250 * kBuffer);
}

BOOST_AUTO_TEST_CASE(it_counts_what_comes_and_knows_how_far_the_source_is) {
  Bench bench({.time = milliseconds(0), .frames = 0, .leaky = false});
  for (int i = 0; i < 10; ++i) bench.push_buffer(static_cast<GstClockTime>(i) * kBuffer);
  BOOST_TEST(bench.queue.buffers() == 10u);
  BOOST_TEST((bench.queue.position() == milliseconds(200)));
  // Something waits, so it is not the source that is late.
  BOOST_TEST((bench.queue.starved() == milliseconds(0)));
  BOOST_TEST(bench.drain().size() == 10u);
  BOOST_TEST((bench.queue.starved() == milliseconds(0)));
}

BOOST_AUTO_TEST_CASE(an_empty_queue_starves_until_the_end) {
  Bench bench(kLive);
  const auto first = bench.queue.starved();
  BOOST_TEST((first > milliseconds(0)));
  BOOST_TEST((bench.queue.starved() > first));
  bench.push(gst_event_new_eos());
  BOOST_TEST((bench.queue.starved() == milliseconds(0)));
}
