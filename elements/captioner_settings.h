#pragma once

#include <glib-object.h>

#include "elements/scene_captioner.h"
#include "elements/speech_captioner.h"
#include "model/engine.h"

namespace captiond::gst {

// Whether the source can wait.
enum class LiveMode {
  kAuto,  // what upstream answers to the LATENCY query
  kTrue,
  kFalse,
};

// The properties of gemmacaptioner. `speech.translations` follows from the pads.
struct CaptionerSettings {
  EngineOptions engine;  // model, device, dtype, threads
  LiveMode live = LiveMode::kAuto;
  SpeechOptions speech;
  SceneOptions scene;
};

// The properties of CaptionerSettings have the numbers 1 to this.
inline constexpr guint kCaptionerPropertyCount = 21;

// Installs them; defaults are those of the structs.
void install_captioner_properties(GObjectClass* klass);

// The value of property `id` in or out of `settings`; false for an id that is none of these.
bool set_captioner_property(CaptionerSettings& settings, guint id, const GValue* value);
bool get_captioner_property(CaptionerSettings settings, guint id, GValue* value);

}  // namespace captiond::gst
