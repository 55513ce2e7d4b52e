#include "pipeline/stream_graph.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/element_factory.h"
#include "pipeline/proto_time.h"
#include "pipeline/stream_error.h"

namespace captiond {
namespace {

using gst::CapsHandle;
using gst::ElementHandle;
using gst::PadHandle;

// What webrtcdsp takes, and what audiopatcher wants but for the sample format.
constexpr const char* kSpeechCaps =
    "audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved";

// Where the decoder's pads are linked to. Owned by the signal handler, used by streaming threads.
struct Entries {
  PadHandle audio;
  PadHandle video;

  void link(GstPad* pad) const {
    CapsHandle caps(gst_pad_get_current_caps(pad));
    if (!caps) caps.reset(gst_pad_query_caps(pad, nullptr));
    if (gst_caps_is_empty(caps.get()) || gst_caps_is_any(caps.get())) return;
    const std::string_view name = gst_structure_get_name(gst_caps_get_structure(caps.get(), 0));
    GstPad* entry = nullptr;
    if (name.starts_with("audio/")) entry = audio.get();
    if (name.starts_with("video/")) entry = video.get();
    // Of several tracks of a kind the first is heard.
    if (entry == nullptr || gst_pad_is_linked(entry)) return;
    if (GST_PAD_LINK_FAILED(gst_pad_link(pad, entry))) {
      GST_ELEMENT_ERROR(GST_PAD_PARENT(pad), STREAM, FORMAT,
                        ("a track of type %s cannot be used", name.data()), (nullptr));
    }
  }
};

void set_milliseconds(GstElement* element, const char* property,
                      const google::protobuf::Duration& value) {
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(from_duration(value));
  g_object_set(element, property, static_cast<guint>(time.count()), nullptr);
}

GstElement* add_caps_filter(GstBin* bin, const std::string& name, const char* caps) {
  GstElement* filter = add_element(bin, "capsfilter", name);
  gst_util_set_object_arg(G_OBJECT(filter), "caps", caps);
  return filter;
}

// Voice activity alone: everything that would change the samples is off.
GstElement* add_voice_detector(GstBin* bin) {
  GstElement* detector = add_element(bin, "webrtcdsp", "voice_activity");
  g_object_set(detector, "echo-cancel", FALSE, "gain-control", FALSE, "high-pass-filter", FALSE,
               "limiter", FALSE, "noise-suppression", FALSE, "voice-detection", TRUE, nullptr);
  return detector;
}

GstElement* add_decoder(GstBin* bin, const StreamPlan& plan) {
  GstElement* decoder = add_element(bin, "uridecodebin", "decoder");
  std::string caps;
  if (plan.config.captions().enabled()) caps = "audio/x-raw";
  if (plan.config.scenes().enabled()) caps += caps.empty() ? "video/x-raw" : ";video/x-raw";
  // Tracks that nobody wants are not even decoded.
  gst_util_set_object_arg(G_OBJECT(decoder), "caps", caps.c_str());
  g_object_set(decoder, "uri", plan.uri.actual().c_str(), "expose-all-streams", FALSE, nullptr);
  return decoder;
}

GstElement* add_captioner(GstBin* bin, const StreamPlan& plan) {
  GstElement* captioner = add_element(bin, "gemmacaptioner", "captioner");
  const v1::CaptionConfig& captions = plan.config.captions();
  const v1::SceneConfig& scenes = plan.config.scenes();
  constexpr std::array<const char*, 4> kVoiceActivity = {"", "meta", "energy", "none"};
  gst_util_set_object_arg(G_OBJECT(captioner), "live", plan.live ? "true" : "false");
  gst_util_set_object_arg(G_OBJECT(captioner), "voice-activity",
                          kVoiceActivity.at(static_cast<std::size_t>(captions.voice_activity())));
  g_object_set(captioner, "language", plan.language.c_str(), "hold-back-words",
               guint{captions.hold_back_words()}, "tokens-per-second-max",
               guint{captions.tokens_per_second_max()}, "scene-prompt", scenes.prompt().c_str(),
               "scene-tokens-max", guint{scenes.tokens_max()}, "scene-soft-tokens-max",
               guint{scenes.soft_tokens()}, "scene-frames", guint{scenes.frames()}, nullptr);
  set_milliseconds(captioner, "partial-interval", captions.partial_interval());
  set_milliseconds(captioner, "endpoint-silence", captions.endpoint_silence());
  set_milliseconds(captioner, "segment-max", captions.segment_max());
  set_milliseconds(captioner, "lead-in", captions.lead_in());
  set_milliseconds(captioner, "lead-out", captions.lead_out());
  set_milliseconds(captioner, "min-speech", captions.min_speech());
  set_milliseconds(captioner, "scene-interval", scenes.interval());
  set_milliseconds(captioner, "scene-frame-distance", scenes.frame_distance());
  return captioner;
}

// Texts are taken from the bus; a pad is there so that its EOS is waited for.
void add_sink(GstBin* bin, GstElement* captioner, const std::string& pad) {
  GstElement* sink = add_element(bin, "fakesink", "sink_" + pad);
  g_object_set(sink, "sync", FALSE, "async", FALSE, nullptr);
  const PadHandle source(gst_element_request_pad_simple(captioner, pad.c_str()));
  const PadHandle target(gst_element_get_static_pad(sink, "sink"));
  if (!source || GST_PAD_LINK_FAILED(gst_pad_link(source.get(), target.get()))) {
    throw StreamError("gemmacaptioner cannot be asked for its pad " + pad);
  }
}

// Links [clocksync,] queue, the elements of `chain` and the captioner's `pad`; the last of `chain`
// is the patcher. The clock comes before the queue, so that the queue evens out what the engine
// takes at its own pace.
StreamGraph::Track link_track(GstBin* bin, const StreamPlan& plan, MediaQueue queue,
                              const std::vector<GstElement*>& chain, const std::string& pad) {
  GstElement* head = queue.element();
  if (plan.realtime) {
    head = add_element(bin, "clocksync", pad + "_pace");
    link_elements(head, queue.element());
  }
  GstElement* before = queue.element();
  for (GstElement* element : chain) {
    link_elements(before, element);
    before = element;
  }
  const ElementHandle captioner(gst_bin_get_by_name(bin, "captioner"));
  const PadHandle source(gst_element_get_static_pad(before, "src"));
  const PadHandle target(gst_element_request_pad_simple(captioner.get(), pad.c_str()));
  if (!target || GST_PAD_LINK_FAILED(gst_pad_link(source.get(), target.get()))) {
    throw StreamError("gemmacaptioner cannot be given its pad " + pad);
  }
  return {.queue = std::move(queue),
          .entry = PadHandle(gst_element_get_static_pad(head, "sink")),
          .patcher = PadHandle(gst_element_get_static_pad(before, "sink"))};
}

StreamGraph::Track add_audio(GstBin* bin, const StreamPlan& plan, GstElement* captioner) {
  MediaQueue queue(bin, "audio_queue",
                   {.time = from_duration(plan.config.queues().audio()), .leaky = plan.live});
  std::vector<GstElement*> chain;
  chain.push_back(add_element(bin, "audioconvert", "audio_convert"));
  chain.push_back(add_element(bin, "audioresample", "audio_resample"));
  chain.push_back(add_caps_filter(bin, "audio_caps", kSpeechCaps));
  if (plan.config.captions().voice_activity() == v1::VOICE_ACTIVITY_WEBRTC) {
    chain.push_back(add_voice_detector(bin));
  }
  chain.push_back(add_element(bin, "audioconvert", "audio_to_float"));
  chain.push_back(add_element(bin, "audiopatcher", "audio_patcher"));
  StreamGraph::Track track = link_track(bin, plan, std::move(queue), chain, "audio");
  add_sink(bin, captioner, "transcript");
  for (const std::string& language : plan.translations) {
    add_sink(bin, captioner, "translation_" + language);
  }
  return track;
}

StreamGraph::Track add_video(GstBin* bin, const StreamPlan& plan, GstElement* captioner) {
  MediaQueue queue(bin, "video_queue",
                   {.frames = plan.config.queues().video_frames(), .leaky = plan.live});
  std::vector<GstElement*> chain;
  // Frames that are not described need not be converted: ten a second is the shortest interval.
  GstElement* rate = add_element(bin, "videorate", "video_rate");
  g_object_set(rate, "drop-only", TRUE, "max-rate", 10, nullptr);
  chain.push_back(rate);
  chain.push_back(add_element(bin, "videoconvert", "video_convert"));
  chain.push_back(add_element(bin, "videoscale", "video_square"));
  chain.push_back(
      add_caps_filter(bin, "video_caps", "video/x-raw,format=RGB,pixel-aspect-ratio=1/1"));
  // No visionpatcher: the captioner lets the engine scale those frames that it describes.
  StreamGraph::Track track = link_track(bin, plan, std::move(queue), chain, "vision");
  add_sink(bin, captioner, "scene");
  return track;
}

void connect_decoder(const StreamGraph& graph) {
  const auto another = [](const std::optional<StreamGraph::Track>& track) {
    return PadHandle(track ? GST_PAD(gst_object_ref(track->entry.get())) : nullptr);
  };
  g_signal_connect_data(
      graph.decoder, "pad-added", G_CALLBACK(+[](GstElement*, GstPad* pad, gpointer data) {
        static_cast<const Entries*>(data)->link(pad);
      }),
      new Entries{another(graph.audio), another(graph.video)},
      [](gpointer data, GClosure*) { delete static_cast<Entries*>(data); }, GConnectFlags{});
  g_signal_connect(
      graph.decoder, "no-more-pads", G_CALLBACK(+[](GstElement* decoder, gpointer) {
        gst_element_post_message(
            decoder, gst_message_new_application(GST_OBJECT(decoder),
                                                 gst_structure_new_empty("captiond-no-more-pads")));
      }),
      nullptr);
}

}  // namespace

StreamGraph build_stream_graph(const StreamPlan& plan, GstContext* engine) {
  StreamGraph graph;
  graph.pipeline.reset(
      GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(plan.config.id().c_str()))));
  gst_element_set_context(graph.pipeline.get(), engine);
  GstBin* bin = GST_BIN(graph.pipeline.get());
  graph.decoder = add_decoder(bin, plan);
  graph.captioner = add_captioner(bin, plan);
  if (plan.config.captions().enabled()) graph.audio = add_audio(bin, plan, graph.captioner);
  if (plan.config.scenes().enabled()) graph.video = add_video(bin, plan, graph.captioner);
  connect_decoder(graph);
  return graph;
}

}  // namespace captiond
