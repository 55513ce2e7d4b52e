#include "elements/caption_message.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "model/check.h"

namespace captiond::gst {
namespace {

constexpr const char* kTranscript = "captiond-transcript";
constexpr const char* kTranslation = "captiond-translation";
constexpr const char* kScene = "captiond-scene";
constexpr const char* kLoss = "captiond-loss";

guint64 to_gst(StreamTime time) {
  check(time.count() >= 0, "a caption event lies before the start of its stream");
  return static_cast<guint64>(time.count());
}

struct ToStructure {
  GstStructure* operator()(const TranscriptEvent& e) const {
    return gst_structure_new(kTranscript, "segment", G_TYPE_UINT64, guint64{e.segment}, "revision",
                             G_TYPE_UINT, guint{e.revision}, "final", G_TYPE_BOOLEAN,
                             gboolean{e.final}, "text", G_TYPE_STRING, e.text.c_str(),
                             "stable-length", G_TYPE_UINT, static_cast<guint>(e.stable_length),
                             "language", G_TYPE_STRING, e.language.c_str(), "start", G_TYPE_UINT64,
                             to_gst(e.start), "end", G_TYPE_UINT64, to_gst(e.end), "truncated",
                             G_TYPE_BOOLEAN, gboolean{e.truncated}, nullptr);
  }
  GstStructure* operator()(const TranslationEvent& e) const {
    return gst_structure_new(
        kTranslation, "segment", G_TYPE_UINT64, guint64{e.segment}, "text", G_TYPE_STRING,
        e.text.c_str(), "source-language", G_TYPE_STRING, e.source_language.c_str(), "language",
        G_TYPE_STRING, e.language.c_str(), "start", G_TYPE_UINT64, to_gst(e.start), "end",
        G_TYPE_UINT64, to_gst(e.end), "truncated", G_TYPE_BOOLEAN, gboolean{e.truncated}, nullptr);
  }
  GstStructure* operator()(const SceneEvent& e) const {
    return gst_structure_new(kScene, "scene", G_TYPE_UINT64, guint64{e.scene}, "text",
                             G_TYPE_STRING, e.text.c_str(), "time", G_TYPE_UINT64, to_gst(e.time),
                             "end", G_TYPE_UINT64, to_gst(e.end), "truncated", G_TYPE_BOOLEAN,
                             gboolean{e.truncated}, nullptr);
  }
  GstStructure* operator()(const SilenceEvent&) const { return nullptr; }
  GstStructure* operator()(const LossEvent& e) const {
    return gst_structure_new(kLoss, "start", G_TYPE_UINT64, to_gst(e.start), "end", G_TYPE_UINT64,
                             to_gst(e.end), nullptr);
  }
};

// Reads fields one by one and remembers whether any was missing or of another type.
class Fields {
 public:
  explicit Fields(const GstStructure* structure) : structure_(structure) {}

  std::uint64_t number(const char* name) {
    guint64 value = 0;
    complete_ = gst_structure_get_uint64(structure_, name, &value) && complete_;
    return value;
  }
  std::uint32_t small_number(const char* name) {
    guint value = 0;
    complete_ = gst_structure_get_uint(structure_, name, &value) && complete_;
    return value;
  }
  bool flag(const char* name) {
    gboolean value = FALSE;
    complete_ = gst_structure_get_boolean(structure_, name, &value) && complete_;
    return value != FALSE;
  }
  std::string text(const char* name) {
    const gchar* value = gst_structure_get_string(structure_, name);
    complete_ = value != nullptr && complete_;
    return value != nullptr ? value : "";
  }
  StreamTime time(const char* name) {
    return StreamTime(static_cast<StreamTime::rep>(number(name)));
  }
  bool complete() const { return complete_; }

 private:
  const GstStructure* structure_;
  bool complete_ = true;
};

CaptionEvent parse_transcript(Fields& fields) {
  TranscriptEvent e;
  e.segment = fields.number("segment");
  e.revision = fields.small_number("revision");
  e.final = fields.flag("final");
  e.text = fields.text("text");
  e.stable_length = fields.small_number("stable-length");
  e.language = fields.text("language");
  e.start = fields.time("start");
  e.end = fields.time("end");
  e.truncated = fields.flag("truncated");
  return e;
}

CaptionEvent parse_translation(Fields& fields) {
  TranslationEvent e;
  e.segment = fields.number("segment");
  e.text = fields.text("text");
  e.source_language = fields.text("source-language");
  e.language = fields.text("language");
  e.start = fields.time("start");
  e.end = fields.time("end");
  e.truncated = fields.flag("truncated");
  return e;
}

CaptionEvent parse_scene(Fields& fields) {
  SceneEvent e;
  e.scene = fields.number("scene");
  e.text = fields.text("text");
  e.time = fields.time("time");
  e.end = fields.time("end");
  e.truncated = fields.flag("truncated");
  return e;
}

CaptionEvent parse_loss(Fields& fields) {
  LossEvent e;
  e.start = fields.time("start");
  e.end = fields.time("end");
  return e;
}

}  // namespace

StructureHandle to_structure(const CaptionEvent& event) {
  return StructureHandle(std::visit(ToStructure{}, event));
}

StructureHandle to_structure(const CaptionCounters& counters) {
  const std::pair<const char*, const std::atomic<std::uint64_t>&> fields[] = {
      {"segments", counters.segments},
      {"partials", counters.partials},
      {"partials-skipped", counters.partials_skipped},
      {"tokens", counters.tokens},
      {"draft-accepted", counters.draft_accepted},
      {"truncated", counters.truncated},
      {"blips", counters.blips},
      {"translations", counters.translations},
      {"scenes", counters.scenes},
      {"scenes-skipped", counters.scenes_skipped},
      {"dropped", counters.dropped}};
  StructureHandle structure(gst_structure_new_empty("captiond-statistics"));
  for (const auto& [name, value] : fields) {
    gst_structure_set(structure.get(), name, G_TYPE_UINT64, guint64{value.load()}, nullptr);
  }
  return structure;
}

std::optional<CaptionEvent> parse_caption(const GstStructure* structure) {
  if (structure == nullptr) return std::nullopt;
  Fields fields(structure);
  CaptionEvent event;
  if (gst_structure_has_name(structure, kTranscript)) {
    event = parse_transcript(fields);
  } else if (gst_structure_has_name(structure, kTranslation)) {
    event = parse_translation(fields);
  } else if (gst_structure_has_name(structure, kScene)) {
    event = parse_scene(fields);
  } else if (gst_structure_has_name(structure, kLoss)) {
    event = parse_loss(fields);
  } else {
    return std::nullopt;
  }
  if (!fields.complete()) return std::nullopt;
  return event;
}

std::optional<CaptionEvent> parse_caption(GstMessage* message) {
  if (GST_MESSAGE_TYPE(message) != GST_MESSAGE_ELEMENT) return std::nullopt;
  return parse_caption(gst_message_get_structure(message));
}

}  // namespace captiond::gst
