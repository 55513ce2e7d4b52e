#pragma once

#include <optional>

#include <gst/gst.h>

#include "elements/gst_handle.h"
#include "pipeline/media_queue.h"
#include "pipeline/stream_plan.h"

namespace captiond {

// The GStreamer pipeline of one run of one stream:
//
//   uridecodebin ─▶ [clocksync ▶] audio_queue ─▶ audioconvert, audioresample ─▶ S16LE 16 kHz mono
//                │     ─▶ webrtcdsp (voice activity alone) ─▶ audioconvert ─▶ audiopatcher ─┐
//                │                                                                          ▼
//                │                                              gemmacaptioner ─▶ fakesinks
//                │                                                                          ▲
//                └▶ [clocksync ▶] video_queue ─▶ videorate, videoconvert, videoscale ───────┘
//
// Each queue begins a thread. Captions come as element messages of gemmacaptioner on the bus; the
// fakesinks make the pipeline's EOS come after the last of them. When the decoder has made all its
// pads, the application message "captiond-no-more-pads" is posted.
//
// uridecodebin rather than uridecodebin3: with GStreamer 1.22.0 the latter waits for ever on a WAV
// header without samples, on a WebM file that was cut off and, at its end, on an empty file
// (tests/e2e/hostile_inputs.py has such files).
struct StreamGraph {
  gst::ElementHandle pipeline;
  GstElement* decoder = nullptr;  // these are borrowed from the pipeline
  GstElement* captioner = nullptr;
  // Of each track that the plan wants; nullopt otherwise.
  struct Track {
    MediaQueue queue;
    gst::PadHandle entry;    // where the decoder's pad is linked to
    gst::PadHandle patcher;  // the patcher's sink pad, where an EOS ends the track early
  };
  std::optional<Track> audio;
  std::optional<Track> video;
};

// Builds the pipeline in state NULL. `engine` is a captiond.engine context. Throws StreamError.
StreamGraph build_stream_graph(const StreamPlan& plan, GstContext* engine);

}  // namespace captiond
