#pragma once

#include <gst/gst.h>

// gemmacaptioner: patches of speech and pictures in, captions out.
//
//   request sink pads   audio (application/x-audio-patches), vision (application/x-vision-patches,
//                       or video/x-raw,RGB: pictures that the engine scales when it describes them)
//   request src pads    transcript, translation_XX (XX: ISO 639-1 code), scene: text/x-raw,utf8
//
// Pads are requested in NULL or READY. Texts leave from the streaming thread of each src pad as
// buffers with PTS and DURATION, GAP events in between; partial transcripts and everything else are
// element messages on the bus (elements/caption_message.h), also without any src pad. EOS finishes
// and tells what is open, then goes on. What the captions are made of: speech_captioner.h,
// scene_captioner.h.
//
// The engine comes from a `captiond.engine` context (engine_context.h) or, in NULL -> READY, is
// opened from the property `model` and offered to the other captioners of the pipeline. Such an
// offer stays with the pipeline in NULL, so that the next start is quick; freeing the pipeline, or
// a start with another model, frees the engine.
//
// LATENCY: a text leaves with the timestamp of its first sound, so this element adds segment-max +
// endpoint-silence to what upstream answers (nothing on `scene`). The time that the engine takes is
// not known beforehand and not in it.
G_BEGIN_DECLS
G_DECLARE_FINAL_TYPE(CaptiondGemmaCaptioner, captiond_gemma_captioner, CAPTIOND, GEMMA_CAPTIONER,
                     GstElement)
GST_ELEMENT_REGISTER_DECLARE(gemmacaptioner)
G_END_DECLS
