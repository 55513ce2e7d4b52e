#include "elements/captioner_settings.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <variant>

#include <gst/gst.h>

namespace captiond::gst {
namespace {

using std::chrono::milliseconds;

enum Property : guint {
  kModel = 1,
  kDevice,
  kDtype,
  kThreads,
  kLive,
  kLanguage,
  kVoiceActivity,
  kLeadIn,
  kLeadOut,
  kEndpointSilence,
  kSegmentMax,
  kMinSpeech,
  kPartialInterval,
  kHoldBackWords,
  kTokensPerSecondMax,
  kSceneInterval,
  kScenePrompt,
  kSceneTokensMax,
  kSceneSoftTokensMax,
  kSceneFrames,
  kSceneFrameDistance,
  kPropertyEnd,
};
static_assert(kPropertyEnd == kCaptionerPropertyCount + 1);

GType device_type() {
  static const GEnumValue values[] = {
      {static_cast<gint>(Device::kCpu), "The processor", "cpu"},
      {static_cast<gint>(Device::kCuda), "The first CUDA GPU", "cuda"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("CaptiondDevice", values);
  return type;
}

GType dtype_type() {
  static const GEnumValue values[] = {
      {static_cast<gint>(Dtype::kFloat32), "32 bits, exact", "float32"},
      {static_cast<gint>(Dtype::kBfloat16), "16 bits, as published", "bfloat16"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("CaptiondDtype", values);
  return type;
}

GType live_type() {
  static const GEnumValue values[] = {
      {static_cast<gint>(LiveMode::kAuto), "As upstream says (LATENCY query)", "auto"},
      {static_cast<gint>(LiveMode::kTrue), "Never wait: skip partials, then give audio up", "true"},
      {static_cast<gint>(LiveMode::kFalse), "Hold the source back while the engine works", "false"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("CaptiondLive", values);
  return type;
}

GType voice_activity_type() {
  static const GEnumValue values[] = {
      {static_cast<gint>(VoiceActivityMode::kAuto),
       "Loudness until upstream sends its first voice activity, from then on upstream", "auto"},
      {static_cast<gint>(VoiceActivityMode::kMeta),
       "GstAudioLevelMeta of upstream (webrtcdsp voice-detection=true); silence without", "meta"},
      {static_cast<gint>(VoiceActivityMode::kEnergy), "Loudness over an adaptive floor", "energy"},
      {static_cast<gint>(VoiceActivityMode::kNone), "Everything is speech", "none"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("CaptiondVoiceActivity", values);
  return type;
}

constexpr auto kFlags =
    static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);

guint to_ms(StreamTime time) {
  return static_cast<guint>(std::chrono::duration_cast<milliseconds>(time).count());
}

class Installer {
 public:
  explicit Installer(GObjectClass* klass) : klass_(klass) {}

  void text(guint id, const char* name, const char* blurb, const char* value) const {
    install(id, g_param_spec_string(name, name, blurb, value, kFlags));
  }
  void choice(guint id, const char* name, const char* blurb, GType type, int value) const {
    install(id, g_param_spec_enum(name, name, blurb, type, value, kFlags));
  }
  void ms(guint id, const char* name, const char* blurb, guint least, guint most,
          StreamTime value) const {
    number(id, name, blurb, least, most, to_ms(value));
  }
  void number(guint id, const char* name, const char* blurb, guint least, guint most,
              guint value) const {
    install(id, g_param_spec_uint(name, name, blurb, least, most, value, kFlags));
  }

 private:
  void install(guint id, GParamSpec* spec) const {
    g_object_class_install_property(klass_, id, spec);
  }
  GObjectClass* klass_;
};

constexpr guint kHourMs = 3600 * 1000;

void install_engine(const Installer& add, const CaptionerSettings& now) {
  add.text(kModel, "model",
           "Folder of a gemma4_unified checkpoint in Hugging Face's layout; not needed where a "
           "captiond.engine context is given",
           nullptr);
  add.choice(kDevice, "device", "Where an engine opened from `model` computes", device_type(),
             static_cast<int>(now.engine.device));
  add.choice(kDtype, "dtype", "In what an engine opened from `model` computes", dtype_type(),
             static_cast<int>(now.engine.dtype));
  add.number(kThreads, "threads",
             "Processor threads of an engine opened from `model`; 0: as many as there are cores", 0,
             1024, static_cast<guint>(now.engine.threads));
  add.choice(kLive, "live", "Whether the source is live and must not be held back", live_type(),
             static_cast<int>(now.live));
}

void install_speech(const Installer& add, const CaptionerSettings& now) {
  const SegmenterOptions& cut = now.speech.segmenter;
  add.text(kLanguage, "language", "Language spoken, a two-letter ISO 639-1 code",
           now.speech.language.c_str());
  add.choice(kVoiceActivity, "voice-activity", "How speech is told from silence",
             voice_activity_type(), static_cast<int>(now.speech.voice_activity));
  add.ms(kLeadIn, "lead-in", "Milliseconds of audio kept before the first speech of a segment", 0,
         1000, cut.lead_in);
  add.ms(kLeadOut, "lead-out",
         "Milliseconds of audio kept after the last speech of a segment; at most endpoint-silence",
         0, 10000, cut.lead_out);
  add.ms(kEndpointSilence, "endpoint-silence", "Milliseconds of silence that end a segment", 40,
         10000, cut.endpoint_silence);
  add.ms(kSegmentMax, "segment-max",
         "Milliseconds after which a segment is cut at the quietest point of its last 3 s (of its "
         "last third, if shorter)",
         1000, 15000, cut.segment_max);
  add.ms(kMinSpeech, "min-speech",
         "Milliseconds of speech that make a segment; less is left out and counted", 40, 500,
         cut.min_speech);
  add.ms(kPartialInterval, "partial-interval",
         "Milliseconds of a segment's audio between two partial transcripts; 0: finals only", 0,
         15000, now.speech.partial_interval);
  add.number(kHoldBackWords, "hold-back-words",
             "Words at the end of a partial transcript that are never promised to stay", 1, 20,
             static_cast<guint>(now.speech.hold_back_words));
  add.number(kTokensPerSecondMax, "tokens-per-second-max",
             "A text of n seconds ends at 16 + n times so many tokens and is then marked truncated",
             1, 1000, static_cast<guint>(now.speech.tokens_per_second_max));
}

void install_scene(const Installer& add, const CaptionerSettings& now) {
  add.ms(kSceneInterval, "scene-interval",
         "Milliseconds between two pictures that are described; 0: every picture", 0, kHourMs,
         now.scene.interval);
  add.text(
      kScenePrompt, "scene-prompt",
      "What is asked about a picture or video; empty: a sentence on what can be seen, with several "
      "scene-frames on what happens",
      now.scene.prompt.c_str());
  add.number(kSceneTokensMax, "scene-tokens-max",
             "A description ends after so many tokens and is then marked truncated", 1, 1024,
             static_cast<guint>(now.scene.tokens_max));
  add.number(kSceneSoftTokensMax, "scene-soft-tokens-max",
             "Soft tokens that a picture which comes as pixels may become: one of 70, 140, 280, "
             "560, 1120; patches are what visionpatcher made them",
             70, 1120, static_cast<guint>(now.scene.soft_tokens_max));
  add.number(kSceneFrames, "scene-frames",
             "Frames that a description is about: 1 is the picture alone, more are the video that "
             "ends with it",
             1, kSceneFramesMax, static_cast<guint>(now.scene.frames));
  add.ms(kSceneFrameDistance, "scene-frame-distance",
         "Milliseconds between these frames; scene-frames times so many are at most 60000", 100,
         30000, now.scene.frame_distance);
}

// Where the value of a property lies. Durations are milliseconds outside.
using Slot = std::variant<std::monostate, std::filesystem::path*, std::string*, StreamTime*,
                          std::size_t*, int*, Device*, Dtype*, LiveMode*, VoiceActivityMode*>;

Slot slot_of(CaptionerSettings& settings, guint id) {
  SpeechOptions& speech = settings.speech;
  switch (id) {
    case kModel:
      return &settings.engine.model;
    case kDevice:
      return &settings.engine.device;
    case kDtype:
      return &settings.engine.dtype;
    case kThreads:
      return &settings.engine.threads;
    case kLive:
      return &settings.live;
    case kLanguage:
      return &speech.language;
    case kVoiceActivity:
      return &speech.voice_activity;
    case kLeadIn:
      return &speech.segmenter.lead_in;
    case kLeadOut:
      return &speech.segmenter.lead_out;
    case kEndpointSilence:
      return &speech.segmenter.endpoint_silence;
    case kSegmentMax:
      return &speech.segmenter.segment_max;
    case kMinSpeech:
      return &speech.segmenter.min_speech;
    case kPartialInterval:
      return &speech.partial_interval;
    case kHoldBackWords:
      return &speech.hold_back_words;
    case kTokensPerSecondMax:
      return &speech.tokens_per_second_max;
    case kSceneInterval:
      return &settings.scene.interval;
    case kScenePrompt:
      return &settings.scene.prompt;
    case kSceneTokensMax:
      return &settings.scene.tokens_max;
    case kSceneSoftTokensMax:
      return &settings.scene.soft_tokens_max;
    case kSceneFrames:
      return &settings.scene.frames;
    case kSceneFrameDistance:
      return &settings.scene.frame_distance;
    default:
      return std::monostate();
  }
}

struct Store {
  const GValue* value;

  void operator()(std::monostate) const {}
  void operator()(std::string* slot) const { *slot = text(); }
  void operator()(std::filesystem::path* slot) const { *slot = text(); }
  void operator()(StreamTime* slot) const { *slot = milliseconds(g_value_get_uint(value)); }
  void operator()(std::size_t* slot) const { *slot = g_value_get_uint(value); }
  void operator()(int* slot) const { *slot = static_cast<int>(g_value_get_uint(value)); }
  template <class Enum>
  void operator()(Enum* slot) const {
    *slot = static_cast<Enum>(g_value_get_enum(value));
  }
  std::string text() const {
    const gchar* given = g_value_get_string(value);
    return given != nullptr ? given : "";
  }
};

struct Load {
  GValue* value;

  void operator()(std::monostate) const {}
  void operator()(const std::string* slot) const { g_value_set_string(value, slot->c_str()); }
  void operator()(const std::filesystem::path* slot) const {
    g_value_set_string(value, slot->empty() ? nullptr : slot->c_str());
  }
  void operator()(const StreamTime* slot) const { g_value_set_uint(value, to_ms(*slot)); }
  void operator()(const std::size_t* slot) const {
    g_value_set_uint(value, static_cast<guint>(*slot));
  }
  void operator()(const int* slot) const { g_value_set_uint(value, static_cast<guint>(*slot)); }
  template <class Enum>
  void operator()(const Enum* slot) const {
    g_value_set_enum(value, static_cast<gint>(*slot));
  }
};

}  // namespace

void install_captioner_properties(GObjectClass* klass) {
  const CaptionerSettings defaults;
  const Installer add(klass);
  install_engine(add, defaults);
  install_speech(add, defaults);
  install_scene(add, defaults);
}

bool set_captioner_property(CaptionerSettings& settings, guint id, const GValue* value) {
  const Slot slot = slot_of(settings, id);
  std::visit(Store{value}, slot);
  return !std::holds_alternative<std::monostate>(slot);
}

bool get_captioner_property(CaptionerSettings settings, guint id, GValue* value) {
  const Slot slot = slot_of(settings, id);
  std::visit(Load{value}, slot);
  return !std::holds_alternative<std::monostate>(slot);
}

}  // namespace captiond::gst
