// Caption events on the GStreamer bus: ELEMENT messages of gemmacaptioner. The structures are an
// interface for every application that uses the element; fields are only ever added.
//
//   captiond-transcript   segment guint64, revision guint, final gboolean, text string,
//                         stable-length guint (bytes of text), language string,
//                         start guint64, end guint64, truncated gboolean
//   captiond-translation  segment guint64, text string, source-language string, language string,
//                         start guint64, end guint64, truncated gboolean
//   captiond-scene        scene guint64, text string, time guint64, end guint64,
//                         truncated gboolean
//   captiond-loss         start guint64, end guint64
//   captiond-statistics   a guint64 for each counter of caption_counters.h, named with '-' for '_';
//                         posted at the end of each stream, and readable at any time as the
//                         property `statistics`
//
// Times are stream time in nanoseconds. What the fields mean: caption_event.h.
#pragma once

#include <optional>

#include <gst/gst.h>

#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/gst_handle.h"

namespace captiond::gst {

// The structure of `event`; null for SilenceEvent, which is not for the bus.
StructureHandle to_structure(const CaptionEvent& event);

// captiond-statistics.
StructureHandle to_structure(const CaptionCounters& counters);

// The event in `structure`, or nullopt if it is none of the above or lacks a field.
std::optional<CaptionEvent> parse_caption(const GstStructure* structure);

// The same for a bus message: nullopt for every other message, of whatever type.
std::optional<CaptionEvent> parse_caption(GstMessage* message);

}  // namespace captiond::gst
