#define BOOST_TEST_MODULE visionpatcher
#include <cstring>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/video/video.h>

#include "elements/visionpatcher.h"
#include "model/vision_patcher.h"
#include "tests/support/gst_harness.h"

namespace {

using captiond::Image;
using captiond::gst::BufferHandle;
using captiond::gst::CapsHandle;
using captiond::gst::MappedBuffer;
using captiond::test::Harness;
using captiond::test::PadLog;

std::string caps_of(std::size_t width, std::size_t height) {
  return "video/x-raw,format=RGB,width=" + std::to_string(width) +
         ",height=" + std::to_string(height) + ",framerate=25/1,pixel-aspect-ratio=1/1";
}

Image noise(std::size_t width, std::size_t height) {
  Image image{.size = {width, height}, .pixels = std::vector<std::uint8_t>(3 * width * height)};
  std::uint32_t state = 7;
  for (auto& value : image.pixels) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<std::uint8_t>(state >> 24);
  }
  return image;
}

// Rows padded to a multiple of four, as GStreamer lays RGB out.
BufferHandle to_buffer(const Image& image) {
  const std::size_t row = 3 * image.size.width;
  const std::size_t stride = (row + 3) / 4 * 4;
  std::vector<std::uint8_t> bytes(stride * image.size.height, 99);
  for (std::size_t y = 0; y < image.size.height; ++y) {
    std::memcpy(bytes.data() + y * stride, image.pixels.data() + y * row, row);
  }
  BufferHandle buffer(gst_buffer_new_memdup(bytes.data(), bytes.size()));
  GST_BUFFER_PTS(buffer.get()) = 3 * GST_SECOND;
  GST_BUFFER_DURATION(buffer.get()) = 40 * GST_MSECOND;
  return buffer;
}

std::vector<std::uint8_t> bytes_of(const BufferHandle& buffer) {
  const MappedBuffer mapped(buffer.get(), GST_MAP_READ);
  return {mapped.bytes().begin(), mapped.bytes().end()};
}

std::string output_caps(const Harness& harness) {
  const CapsHandle caps(gst_pad_get_current_caps(harness.get()->sinkpad));
  if (!caps) return "none";
  return captiond::gst::StringHandle(gst_caps_to_string(caps.get())).get();
}

std::string patch_caps(int columns, int rows) {
  return "application/x-vision-patches, columns=(int)" + std::to_string(columns) + ", rows=(int)" +
         std::to_string(rows);
}

}  // namespace

using captiond::test::Gst;
BOOST_TEST_GLOBAL_FIXTURE(Gst);

BOOST_AUTO_TEST_CASE(pictures_become_the_patches_of_the_model_at_every_budget) {
  for (const std::size_t budget : captiond::vision_budgets()) {
    for (const auto& [width, height] : {std::pair<std::size_t, std::size_t>{321, 241}, {50, 333}}) {
      Harness harness(("visionpatcher max-soft-tokens=" + std::to_string(budget)).c_str());
      harness.set_caps(caps_of(width, height).c_str());
      const Image image = noise(width, height);
      BOOST_REQUIRE_EQUAL(harness.push(to_buffer(image)), GST_FLOW_OK);
      const BufferHandle patches = harness.try_pull();
      BOOST_REQUIRE(patches);
      const auto want = captiond::vision_patches(image.view(), budget);
      BOOST_TEST((bytes_of(patches) == want.pixels));
      BOOST_TEST(output_caps(harness) ==
                 patch_caps(static_cast<int>(want.columns), static_cast<int>(want.rows)));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_default_budget_is_that_of_a_video_frame) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(1920, 1080).c_str());
  harness.push(to_buffer(noise(1920, 1080)));
  BOOST_TEST(output_caps(harness) == patch_caps(11, 6));
  BOOST_TEST(gst_buffer_get_size(harness.try_pull().get()) == 66u * 6912u);
}

BOOST_AUTO_TEST_CASE(timestamps_duration_and_discont_pass_unchanged) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(64, 48).c_str());
  BufferHandle picture = to_buffer(noise(64, 48));
  GST_BUFFER_FLAG_SET(picture.get(), GST_BUFFER_FLAG_DISCONT);
  harness.push(std::move(picture));
  const BufferHandle patches = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(patches.get()) == 3 * GST_SECOND);
  BOOST_TEST(GST_BUFFER_DURATION(patches.get()) == 40 * GST_MSECOND);
  BOOST_TEST(GST_BUFFER_IS_DISCONT(patches.get()));
}

BOOST_AUTO_TEST_CASE(a_row_stride_of_the_upstreams_own_is_followed) {
  constexpr std::size_t kStride = 1000;
  constexpr std::size_t kOffset = 13;
  const Image image = noise(100, 60);
  std::vector<std::uint8_t> bytes(kOffset + kStride * 60, 5);
  for (std::size_t y = 0; y < 60; ++y) {
    std::memcpy(bytes.data() + kOffset + y * kStride, image.pixels.data() + y * 300, 300);
  }
  BufferHandle buffer(gst_buffer_new_memdup(bytes.data(), bytes.size()));
  gsize offsets[GST_VIDEO_MAX_PLANES] = {kOffset};
  gint strides[GST_VIDEO_MAX_PLANES] = {kStride};
  gst_buffer_add_video_meta_full(buffer.get(), GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGB, 100,
                                 60, 1, offsets, strides);
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(100, 60).c_str());
  harness.push(std::move(buffer));
  BOOST_TEST((bytes_of(harness.try_pull()) == captiond::vision_patches(image.view(), 70).pixels));
}

BOOST_AUTO_TEST_CASE(upstream_is_told_that_any_row_stride_will_do) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(64, 48).c_str());
  const CapsHandle caps(gst_caps_from_string(caps_of(64, 48).c_str()));
  const captiond::gst::QueryHandle query(gst_query_new_allocation(caps.get(), FALSE));
  BOOST_REQUIRE(gst_pad_peer_query(harness.get()->srcpad, query.get()));
  BOOST_TEST(gst_query_find_allocation_meta(query.get(), GST_VIDEO_META_API_TYPE, nullptr));
}

BOOST_AUTO_TEST_CASE(a_new_picture_size_is_a_new_grid) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(640, 480).c_str());
  harness.push(to_buffer(noise(640, 480)));
  BOOST_TEST(output_caps(harness) == patch_caps(9, 7));
  const CapsHandle caps(gst_caps_from_string(caps_of(480, 640).c_str()));
  BOOST_REQUIRE(harness.push_event(gst_event_new_caps(caps.get())));
  harness.push(to_buffer(noise(480, 640)));
  BOOST_TEST(output_caps(harness) == patch_caps(7, 9));
  harness.try_pull();
  const auto want = captiond::vision_patches(noise(480, 640).view(), 70);
  BOOST_TEST((bytes_of(harness.try_pull()) == want.pixels));
}

BOOST_AUTO_TEST_CASE(a_budget_set_while_it_runs_waits_for_the_next_start) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(640, 480).c_str());
  gst_harness_set(harness.get(), "visionpatcher", "max-soft-tokens", 280, nullptr);
  const CapsHandle caps(gst_caps_from_string(caps_of(480, 640).c_str()));
  BOOST_REQUIRE(harness.push_event(gst_event_new_caps(caps.get())));
  BOOST_TEST(harness.push(to_buffer(noise(480, 640))) == GST_FLOW_OK);
  BOOST_TEST(output_caps(harness) == patch_caps(7, 9));
}

BOOST_AUTO_TEST_CASE(gaps_flush_and_end_of_stream_pass_in_order) {
  Harness harness("visionpatcher");
  PadLog log(harness);
  harness.set_caps(caps_of(64, 48).c_str());
  harness.push(to_buffer(noise(64, 48)));
  harness.push_event(gst_event_new_gap(0, GST_SECOND));
  harness.push(to_buffer(noise(64, 48)));
  harness.push_event(gst_event_new_eos());
  BOOST_TEST(log.take() == "stream-start caps segment buffer gap buffer eos");
  harness.flush();
  BOOST_TEST(log.take() == "flush-start flush-stop");
}

BOOST_AUTO_TEST_CASE(caps_without_an_aspect_ratio_are_square_and_others_are_refused) {
  Harness square("visionpatcher");
  square.set_caps("video/x-raw,format=RGB,width=64,height=48,framerate=0/1");
  BOOST_TEST(square.push(to_buffer(noise(64, 48))) == GST_FLOW_OK);

  for (const char* wrong :
       {"video/x-raw,format=RGB,width=64,height=48,framerate=25/1,pixel-aspect-ratio=16/15",
        "video/x-raw,format=BGR,width=64,height=48,framerate=25/1",
        "video/x-raw,format=RGBA,width=64,height=48,framerate=25/1",
        "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved"}) {
    Harness fresh("visionpatcher");
    fresh.set_caps(wrong);
    BOOST_TEST(fresh.push(to_buffer(noise(64, 48))) == GST_FLOW_NOT_NEGOTIATED, wrong);
    BOOST_TEST(fresh.waiting() == 0u);

    Harness running("visionpatcher");
    running.set_caps(caps_of(64, 48).c_str());
    BOOST_REQUIRE_EQUAL(running.push(to_buffer(noise(64, 48))), GST_FLOW_OK);
    const CapsHandle caps(gst_caps_from_string(wrong));
    running.push_event(gst_event_new_caps(caps.get()));
    BOOST_TEST(running.push(to_buffer(noise(64, 48))) == GST_FLOW_NOT_NEGOTIATED, wrong);
  }
}

BOOST_AUTO_TEST_CASE(a_budget_the_model_does_not_know_is_one_error_when_it_starts) {
  const captiond::gst::BusHandle bus(gst_bus_new());
  const captiond::gst::ElementHandle element(
      GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make("visionpatcher", nullptr))));
  gst_element_set_bus(element.get(), bus.get());
  g_object_set(element.get(), "max-soft-tokens", 71, nullptr);
  BOOST_TEST(gst_element_set_state(element.get(), GST_STATE_PAUSED) == GST_STATE_CHANGE_FAILURE);
  const captiond::gst::MessageHandle message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
  BOOST_REQUIRE(message);
  GError* parsed = nullptr;
  gst_message_parse_error(message.get(), &parsed, nullptr);
  const captiond::gst::ErrorHandle error(parsed);
  BOOST_TEST(std::string(error->message) ==
             "a picture's budget must be one of 70, 140, 280, 560, 1120 soft tokens, not 71");
  BOOST_TEST(!captiond::gst::MessageHandle(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR)));
  gst_element_set_state(element.get(), GST_STATE_NULL);
  gst_element_set_bus(element.get(), nullptr);
}

BOOST_AUTO_TEST_CASE(a_buffer_smaller_than_its_picture_is_one_error) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(64, 48).c_str());
  BufferHandle torn = to_buffer(noise(64, 48));
  gst_buffer_resize(torn.get(), 0, 64 * 48 * 3 - 1);
  BOOST_TEST(harness.push(std::move(torn)) == GST_FLOW_ERROR);
  const auto errors = harness.pop_errors();
  BOOST_REQUIRE_EQUAL(errors.size(), 1u);
  BOOST_TEST(errors[0] == "a picture of 64x48 pixels in a buffer of 9215 bytes cannot be mapped");
}

BOOST_AUTO_TEST_CASE(what_downstream_answers_goes_upstream) {
  Harness harness("visionpatcher");
  harness.set_caps(caps_of(64, 48).c_str());
  gst_pad_set_chain_function(harness.get()->sinkpad, [](GstPad*, GstObject*, GstBuffer* buffer) {
    gst_buffer_unref(buffer);
    return GST_FLOW_EOS;
  });
  BOOST_TEST(harness.push(to_buffer(noise(64, 48))) == GST_FLOW_EOS);
  BOOST_TEST(harness.pop_errors().empty());
}

BOOST_AUTO_TEST_CASE(it_plays_a_hundred_times) {
  captiond::test::play_repeatedly(
      "videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width=65,height=47 ! "
      "visionpatcher ! fakesink",
      100);
}
