#define BOOST_TEST_MODULE audiopatcher
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/audio/audio.h>

#include "elements/audiopatcher.h"
#include "tests/support/gst_harness.h"

namespace {

using captiond::gst::BufferHandle;
using captiond::gst::MappedBuffer;
using captiond::test::Harness;
using captiond::test::PadLog;

constexpr char kCaps[] = "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved";
constexpr GstClockTime kSample = 62500;  // ns
constexpr GstClockTime kPatch = 40 * GST_MSECOND;

// `count` samples with the values first, first + 1, …
BufferHandle audio(std::size_t count, GstClockTime pts, float first = 1.0F) {
  std::vector<float> samples(count);
  std::iota(samples.begin(), samples.end(), first);
  BufferHandle buffer(gst_buffer_new_memdup(samples.data(), count * sizeof(float)));
  GST_BUFFER_PTS(buffer.get()) = pts;
  return buffer;
}

std::vector<float> samples_of(const BufferHandle& buffer) {
  const MappedBuffer mapped(buffer.get(), GST_MAP_READ);
  const auto samples = mapped.as<const float>();
  return {samples.begin(), samples.end()};
}

bool is_discont(const BufferHandle& buffer) { return GST_BUFFER_IS_DISCONT(buffer.get()) != 0; }

void add_voice(const BufferHandle& buffer, bool active, guint8 level) {
  BOOST_REQUIRE(gst_buffer_add_audio_level_meta(buffer.get(), level, active));
}

using VoiceChanges = std::map<GstClockTime, bool>;

// Notes the voice changes that pass a pad, by the time of their buffer. `changes` must outlive the
// pad's last use.
void note_voice_changes(GstElement* pipeline, const char* element, VoiceChanges& changes) {
  const captiond::gst::ElementHandle owner(gst_bin_get_by_name(GST_BIN(pipeline), element));
  BOOST_REQUIRE(owner);
  const captiond::gst::PadHandle pad(gst_element_get_static_pad(owner.get(), "src"));
  gst_pad_add_probe(
      pad.get(), GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad*, GstPadProbeInfo* info, gpointer user) {
        GstBuffer* buffer = GST_PAD_PROBE_INFO_BUFFER(info);
        if (const auto* meta = gst_buffer_get_audio_level_meta(buffer)) {
          static_cast<VoiceChanges*>(user)->emplace(GST_BUFFER_PTS(buffer),
                                                    meta->voice_activity != 0);
        }
        return GST_PAD_PROBE_OK;
      },
      &changes, nullptr);
}

GstEvent* segment_event(GstFormat format, double rate, guint64 start) {
  GstSegment segment;
  gst_segment_init(&segment, format);
  segment.rate = rate;
  segment.start = start;
  segment.time = start;
  return gst_event_new_segment(&segment);
}

}  // namespace

using captiond::test::Gst;
BOOST_TEST_GLOBAL_FIXTURE(Gst);

BOOST_AUTO_TEST_CASE(buffers_of_any_size_give_the_same_patches_at_the_same_times) {
  constexpr std::size_t kTotal = 4 * 640 + 100;
  for (std::size_t size = 1; size <= 5000; ++size) {
    Harness harness("audiopatcher");
    harness.set_caps(kCaps);
    for (std::size_t from = 0; from < kTotal; from += size) {
      const std::size_t count = std::min(size, kTotal - from);
      BOOST_REQUIRE_EQUAL(
          harness.push(audio(count, GST_SECOND + from * kSample, static_cast<float>(from))),
          GST_FLOW_OK);
    }
    BOOST_REQUIRE_EQUAL(harness.waiting(), 4u);
    BOOST_REQUIRE(harness.push_event(gst_event_new_eos()));
    for (std::size_t i = 0; i < 5; ++i) {
      const BufferHandle patch = harness.try_pull();
      BOOST_REQUIRE(patch);
      BOOST_REQUIRE_EQUAL(GST_BUFFER_PTS(patch.get()), GST_SECOND + i * kPatch);
      BOOST_REQUIRE_EQUAL(GST_BUFFER_DURATION(patch.get()), i < 4 ? kPatch : 100 * kSample);
      BOOST_REQUIRE_EQUAL(is_discont(patch), i == 0);
      const auto samples = samples_of(patch);
      BOOST_REQUIRE_EQUAL(samples.size(), 640u);
      for (std::size_t j = 0; j < 640; ++j) {
        const std::size_t at = i * 640 + j;
        BOOST_REQUIRE_EQUAL(samples[j], at < kTotal ? static_cast<float>(at) : 0.0F);
      }
    }
    BOOST_REQUIRE(!harness.try_pull());
  }
}

BOOST_AUTO_TEST_CASE(the_caps_are_those_of_patches_and_events_come_in_order) {
  Harness harness("audiopatcher");
  PadLog log(harness);
  harness.set_caps(kCaps);
  harness.push(audio(700, 0));
  harness.push_event(gst_event_new_gap(700 * kSample, GST_SECOND));
  harness.push(audio(640, 700 * kSample + GST_SECOND));
  harness.push(audio(1, 740 * kSample + GST_SECOND));
  harness.push_event(gst_event_new_eos());

  BOOST_TEST(log.take() == "stream-start caps segment buffer buffer gap buffer buffer eos");
  const captiond::gst::CapsHandle caps(gst_pad_get_current_caps(harness.get()->sinkpad));
  const captiond::gst::CapsHandle want(
      gst_caps_from_string("application/x-audio-patches,samples=640,rate=16000"));
  BOOST_TEST(gst_caps_is_equal(caps.get(), want.get()));
}

BOOST_AUTO_TEST_CASE(what_follows_a_gap_event_keeps_its_time_and_is_no_discontinuity) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(700, 0));
  harness.push_event(gst_event_new_gap(700 * kSample, GST_SECOND));
  harness.push(audio(640, 700 * kSample + GST_SECOND));
  BOOST_REQUIRE_EQUAL(harness.waiting(), 3u);
  harness.try_pull();
  const BufferHandle padded = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(padded.get()) == kPatch);
  BOOST_TEST(GST_BUFFER_DURATION(padded.get()) == 60 * kSample);
  const BufferHandle after = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(after.get()) == 700 * kSample + GST_SECOND);
  BOOST_TEST(!is_discont(after));
}

BOOST_AUTO_TEST_CASE(a_hole_in_the_timestamps_pads_the_patch_and_marks_the_next_one) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(100, 0));
  harness.push(audio(640, GST_SECOND));
  BOOST_REQUIRE_EQUAL(harness.waiting(), 2u);
  const BufferHandle padded = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(padded.get()) == 0u);
  BOOST_TEST(GST_BUFFER_DURATION(padded.get()) == 100 * kSample);
  BOOST_TEST(samples_of(padded)[99] == 100.0F);
  BOOST_TEST(samples_of(padded)[100] == 0.0F);
  const BufferHandle after = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(after.get()) == GST_SECOND);
  BOOST_TEST(is_discont(after));
}

BOOST_AUTO_TEST_CASE(a_discont_flag_marks_the_next_patch_without_a_hole) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(640, 0));
  BufferHandle flagged = audio(640, kPatch);
  GST_BUFFER_FLAG_SET(flagged.get(), GST_BUFFER_FLAG_DISCONT);
  harness.push(std::move(flagged));
  harness.push(audio(640, 2 * kPatch));
  harness.try_pull();
  BOOST_TEST(is_discont(harness.try_pull()));
  BOOST_TEST(!is_discont(harness.try_pull()));
}

BOOST_AUTO_TEST_CASE(end_of_stream_without_data_passes_alone) {
  Harness harness("audiopatcher");
  PadLog log(harness);
  harness.set_caps(kCaps);
  harness.push(audio(640, 0));
  log.take();
  harness.push_event(gst_event_new_eos());
  BOOST_TEST(log.take() == "eos");
}

BOOST_AUTO_TEST_CASE(a_flush_drops_what_waits_and_starts_anew) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(700, 0));
  harness.try_pull();
  PadLog log(harness);
  harness.flush();
  harness.push_event(segment_event(GST_FORMAT_TIME, 1.0, 5 * GST_SECOND));
  harness.push(audio(640, 5 * GST_SECOND));
  BOOST_TEST(log.take() == "flush-start flush-stop segment buffer");
  const BufferHandle patch = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(patch.get()) == 5 * GST_SECOND);
  BOOST_TEST(is_discont(patch));
  BOOST_TEST(samples_of(patch)[0] == 1.0F);
}

BOOST_AUTO_TEST_CASE(a_new_segment_ends_the_patch_and_a_repeated_one_does_not) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(100, 0));
  PadLog log(harness);
  harness.push_event(segment_event(GST_FORMAT_TIME, 1.0, 0));
  BOOST_TEST(log.take() == "segment");
  harness.push_event(segment_event(GST_FORMAT_TIME, 1.0, GST_SECOND));
  BOOST_TEST(log.take() == "buffer segment");
}

BOOST_AUTO_TEST_CASE(audio_without_timestamps_counts_from_the_segment_start) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push_event(segment_event(GST_FORMAT_TIME, 1.0, 3 * GST_SECOND));
  harness.push(audio(1000, GST_CLOCK_TIME_NONE));
  harness.push(audio(1000, GST_CLOCK_TIME_NONE));
  for (GstClockTime i = 0; i < 3; ++i) {
    BOOST_TEST(GST_BUFFER_PTS(harness.try_pull().get()) == 3 * GST_SECOND + i * kPatch);
  }
}

BOOST_AUTO_TEST_CASE(audio_outside_the_segment_is_cut_away) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push_event(segment_event(GST_FORMAT_TIME, 1.0, GST_SECOND));
  harness.push(audio(1600, 900 * GST_MSECOND - 100 * GST_MSECOND));
  BOOST_TEST(harness.waiting() == 0u);
  harness.push(audio(1280, 960 * GST_MSECOND));
  BOOST_REQUIRE_EQUAL(harness.waiting(), 1u);
  const BufferHandle patch = harness.try_pull();
  BOOST_TEST(GST_BUFFER_PTS(patch.get()) == GST_SECOND);
  BOOST_TEST(samples_of(patch)[0] == 641.0F);
}

BOOST_AUTO_TEST_CASE(a_voice_change_moves_to_the_patch_that_holds_it) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  for (std::size_t i = 0; i < 16; ++i) {  // 10 ms each, as webrtcdsp sends them
    BufferHandle buffer = audio(160, i * 160 * kSample);
    if (i == 6) add_voice(buffer, true, 17);
    if (i == 12) add_voice(buffer, false, 101);
    harness.push(std::move(buffer));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const BufferHandle patch = harness.try_pull();
    const auto* meta = gst_buffer_get_audio_level_meta(patch.get());
    BOOST_TEST_CONTEXT("patch " << i) {
      BOOST_REQUIRE_EQUAL(meta != nullptr, i == 1 || i == 3);
      if (meta) {
        BOOST_TEST((meta->voice_activity != 0) == (i == 1));
        BOOST_TEST(+meta->level == (i == 1 ? 17 : 101));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(voice_changes_of_webrtcdsp_arrive_on_their_patches) {
  VoiceChanges detected;
  VoiceChanges arrived;
  {
    const captiond::gst::ElementHandle pipeline(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(
        "audiotestsrc num-buffers=150 samplesperbuffer=160 freq=200 volume=0.5 ! "
        "audio/x-raw,format=S16LE,rate=16000,channels=1 ! webrtcdsp name=detector "
        "echo-cancel=false noise-suppression=false gain-control=false high-pass-filter=false "
        "voice-detection=true ! audioconvert ! audiopatcher name=patcher ! fakesink",
        nullptr))));
    note_voice_changes(pipeline.get(), "detector", detected);
    note_voice_changes(pipeline.get(), "patcher", arrived);
    captiond::test::play(pipeline.get());
  }
  VoiceChanges want;  // the last change in each patch
  for (const auto& [time, active] : detected) want[time / kPatch * kPatch] = active;
  BOOST_TEST(want.size() >= 2u, "the detector hears the tone begin and takes it for noise later");
  BOOST_TEST((arrived == want));
}

BOOST_AUTO_TEST_CASE(samples_that_lie_between_the_places_of_floats_are_read_all_the_same) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  std::vector<char> bytes(640 * sizeof(float) + 1);
  const BufferHandle source = audio(640, 0);
  gst_buffer_extract(source.get(), 0, bytes.data() + 1, 640 * sizeof(float));
  const BufferHandle whole(gst_buffer_new_memdup(bytes.data(), bytes.size()));
  BufferHandle odd(gst_buffer_copy_region(whole.get(), GST_BUFFER_COPY_MEMORY, 1, G_MAXSIZE));
  harness.push(std::move(odd));
  BOOST_TEST(samples_of(harness.try_pull()) == samples_of(source),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_patch_is_added_to_the_latency_of_what_comes_before) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  gst_harness_set_upstream_latency(harness.get(), 7 * GST_MSECOND);
  const captiond::gst::QueryHandle query(gst_query_new_latency());
  BOOST_REQUIRE(gst_pad_peer_query(harness.get()->sinkpad, query.get()));
  gboolean live = FALSE;
  GstClockTime min = 0;
  GstClockTime max = 0;
  gst_query_parse_latency(query.get(), &live, &min, &max);
  BOOST_TEST(live);
  BOOST_TEST(min == 47 * GST_MSECOND);
  BOOST_TEST(max == GST_CLOCK_TIME_NONE);
}

BOOST_AUTO_TEST_CASE(the_same_caps_again_change_nothing) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(320, 0));
  const captiond::gst::CapsHandle caps(
      gst_caps_from_string((std::string(kCaps) + ",channel-mask=(bitmask)0x0").c_str()));
  BOOST_REQUIRE(harness.push_event(gst_event_new_caps(caps.get())));
  harness.push(audio(320, 20 * GST_MSECOND));
  BOOST_REQUIRE_EQUAL(harness.waiting(), 1u);
  BOOST_TEST(GST_BUFFER_DURATION(harness.try_pull().get()) == kPatch);
}

BOOST_AUTO_TEST_CASE(caps_that_are_not_the_models_are_refused_before_and_after_others) {
  for (const char* wrong : {"audio/x-raw,format=F32LE,rate=8000,channels=1,layout=interleaved",
                            "audio/x-raw,format=F32LE,rate=16000,channels=2,layout=interleaved,"
                            "channel-mask=(bitmask)0x3",
                            "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved",
                            "audio/x-raw,format=F32LE,rate=16000,channels=1,layout=non-interleaved",
                            "video/x-raw,format=RGB,width=8,height=8"}) {
    Harness fresh("audiopatcher");
    fresh.set_caps(wrong);
    BOOST_TEST(fresh.push(audio(640, 0)) == GST_FLOW_NOT_NEGOTIATED, wrong);

    Harness running("audiopatcher");
    running.set_caps(kCaps);
    BOOST_REQUIRE_EQUAL(running.push(audio(640, 0)), GST_FLOW_OK);
    const captiond::gst::CapsHandle caps(gst_caps_from_string(wrong));
    running.push_event(gst_event_new_caps(caps.get()));
    BOOST_TEST(running.push(audio(640, kPatch)) == GST_FLOW_NOT_NEGOTIATED, wrong);
  }
}

BOOST_AUTO_TEST_CASE(data_that_no_caption_can_be_made_of_is_one_error_with_a_remedy) {
  {
    Harness harness("audiopatcher");
    gst_harness_push_event(harness.get(), gst_event_new_stream_start("test"));
    gst_harness_push_event(harness.get(), segment_event(GST_FORMAT_TIME, 1.0, 0));
    BOOST_TEST(harness.push(audio(640, 0)) == GST_FLOW_ERROR);
    const auto errors = harness.pop_errors();
    BOOST_REQUIRE_EQUAL(errors.size(), 1u);
    BOOST_TEST(errors[0] ==
               "audiopatcher got data without caps: it takes audio/x-raw, format=(string)F32LE, "
               "rate=(int)16000, channels=(int)1, layout=(string)interleaved, so put rawaudioparse "
               "or a decoder and audioconvert ! audioresample before it");
  }
  {
    Harness harness("audiopatcher");
    harness.set_caps(kCaps);
    harness.push_event(segment_event(GST_FORMAT_BYTES, 1.0, 0));
    BOOST_TEST(harness.push(audio(640, 0)) == GST_FLOW_ERROR);
    const auto errors = harness.pop_errors();
    BOOST_REQUIRE_EQUAL(errors.size(), 1u);
    BOOST_TEST(errors[0] ==
               "audiopatcher needs a segment in time, not in bytes: put rawaudioparse or a decoder "
               "before it");
  }
  {
    Harness harness("audiopatcher");
    harness.set_caps(kCaps);
    harness.push_event(segment_event(GST_FORMAT_TIME, -1.0, 0));
    BOOST_TEST(harness.push(audio(640, 0)) == GST_FLOW_ERROR);
    const auto errors = harness.pop_errors();
    BOOST_REQUIRE_EQUAL(errors.size(), 1u);
    BOOST_TEST(errors[0] ==
               "audiopatcher cannot cut audio that is played backwards (rate -1.000000)");
  }
  {
    Harness harness("audiopatcher");
    harness.set_caps(kCaps);
    BufferHandle torn = audio(640, 0);
    gst_buffer_resize(torn.get(), 0, 2559);
    BOOST_TEST(harness.push(std::move(torn)) == GST_FLOW_ERROR);
    const auto errors = harness.pop_errors();
    BOOST_REQUIRE_EQUAL(errors.size(), 1u);
    BOOST_TEST(errors[0] ==
               "audiopatcher got a buffer of 2559 bytes, which is no whole number of float32 "
               "samples");
  }
}

BOOST_AUTO_TEST_CASE(what_downstream_answers_goes_upstream) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  gst_pad_set_chain_function(harness.get()->sinkpad, [](GstPad*, GstObject*, GstBuffer* buffer) {
    gst_buffer_unref(buffer);
    return GST_FLOW_EOS;
  });
  BOOST_TEST(harness.push(audio(639, 0)) == GST_FLOW_OK);
  BOOST_TEST(harness.push(audio(1, 639 * kSample)) == GST_FLOW_EOS);
  BOOST_TEST(harness.pop_errors().empty());
}

BOOST_AUTO_TEST_CASE(nothing_is_left_of_a_stream_after_ready) {
  Harness harness("audiopatcher");
  harness.set_caps(kCaps);
  harness.push(audio(700, 0));
  gst_element_set_state(harness.get()->element, GST_STATE_READY);
  gst_element_set_state(harness.get()->element, GST_STATE_PLAYING);
  harness.push_event(gst_event_new_stream_start("again"));
  harness.set_caps(kCaps);
  harness.try_pull();
  harness.push(audio(640, 0, 5000.0F));
  BOOST_REQUIRE_EQUAL(harness.waiting(), 1u);
  const BufferHandle patch = harness.try_pull();
  BOOST_TEST(samples_of(patch)[0] == 5000.0F);
  BOOST_TEST(is_discont(patch));
}

BOOST_AUTO_TEST_CASE(it_plays_a_hundred_times) {
  captiond::test::play_repeatedly(
      "audiotestsrc num-buffers=5 samplesperbuffer=999 ! "
      "audio/x-raw,format=F32LE,rate=16000,channels=1 ! audiopatcher ! fakesink",
      100);
}
