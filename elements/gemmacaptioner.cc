#include "elements/gemmacaptioner.h"

#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "elements/caption_message.h"
#include "elements/captioner_settings.h"
#include "elements/engine_context.h"
#include "elements/gst_handle.h"
#include "elements/guarded.h"
#include "elements/language.h"
#include "elements/patch_caps.h"
#include "elements/scene_branch.h"
#include "elements/speech_branch.h"
#include "elements/text_pad.h"
#include "model/checkpoint_error.h"

GST_DEBUG_CATEGORY_STATIC(captiond_gemma_captioner_debug);
#define GST_CAT_DEFAULT captiond_gemma_captioner_debug

namespace {

using captiond::CaptionCounters;
using captiond::Engine;
using captiond::gst::CaptionBranch;
using captiond::gst::CaptionerSettings;
using captiond::gst::ContextHandle;
using captiond::gst::EngineOffer;
using captiond::gst::EventHandle;
using captiond::gst::guarded;
using captiond::gst::PadHandle;
using captiond::gst::SceneBranch;
using captiond::gst::SpeechBranch;
using captiond::gst::StructureHandle;
using captiond::gst::TextPad;

constexpr guint kStatisticsProperty = captiond::gst::kCaptionerPropertyCount + 1;
constexpr const char* kTranslationPrefix = "translation_";

GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE(
    "audio", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(CAPTIOND_AUDIO_PATCHES_CAPS));
GstStaticPadTemplate vision_template = GST_STATIC_PAD_TEMPLATE(
    "vision", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS(CAPTIOND_VISION_PATCHES_CAPS "; " CAPTIOND_PICTURE_CAPS));
// The first of these is what a link without pad names gets.
GstStaticPadTemplate transcript_template = GST_STATIC_PAD_TEMPLATE(
    "transcript", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("text/x-raw, format=(string)utf8"));
GstStaticPadTemplate translation_template =
    GST_STATIC_PAD_TEMPLATE("translation_%s", GST_PAD_SRC, GST_PAD_REQUEST,
                            GST_STATIC_CAPS("text/x-raw, format=(string)utf8"));
GstStaticPadTemplate scene_template = GST_STATIC_PAD_TEMPLATE(
    "scene", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("text/x-raw, format=(string)utf8"));

// The language of a translation pad's name; empty for every other pad.
std::string translation_language(const std::string& pad_name) {
  return pad_name.starts_with(kTranslationPrefix)
             ? pad_name.substr(std::string(kTranslationPrefix).size())
             : std::string();
}

// Runs `body`, which gets the element ready; an exception becomes one ERROR message.
template <class Body>
bool started(GstElement* element, Body&& body) {
  try {
    body();
    return true;
  } catch (const captiond::CheckpointError& error) {
    GST_ELEMENT_ERROR(element, RESOURCE, OPEN_READ, ("%s", error.what()), (nullptr));
  } catch (const std::invalid_argument& error) {
    GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS, ("%s", error.what()), (nullptr));
  } catch (const std::exception& error) {
    GST_ELEMENT_ERROR(element, LIBRARY, INIT, ("%s", error.what()), (nullptr));
  }
  return false;
}

}  // namespace

struct CaptiondGemmaCaptionerImpl {
  GstElement* const element;  // borrowed: owns this object

  std::mutex mutex;  // guards the next three
  CaptionerSettings settings;
  std::optional<EngineOffer> offer;  // the last one given by a context
  std::shared_ptr<CaptionCounters> counters = std::make_shared<CaptionCounters>();

  // Application thread (state changes); the streaming threads read the branches while pads are
  // active, which is while the branches are there.
  std::shared_ptr<Engine> engine;
  std::unique_ptr<SpeechBranch> speech;
  std::unique_ptr<SceneBranch> scene;

  explicit CaptiondGemmaCaptionerImpl(GstElement* owner) : element(owner) {}

  CaptionerSettings settings_copy() {
    std::lock_guard lock(mutex);
    return settings;
  }

  void open();   // NULL -> READY
  void start();  // READY -> PAUSED
  void shut();   // PAUSED -> READY, before the pads are deactivated
  void stop();   // PAUSED -> READY, after that

  GstPad* request_pad(GstPadTemplate* pad_template, const gchar* name);
  CaptionBranch* branch_of(GstPad* pad) const;

 private:
  std::optional<EngineOffer> fitting_offer(const captiond::EngineOptions& wanted);
  GstPad* make_sink_pad(GstPadTemplate* pad_template, const char* name);
  std::vector<PadHandle> src_pads() const;
  CaptionBranch::Surroundings surroundings(GstPad* sink, const CaptionerSettings& now);
};

struct _CaptiondGemmaCaptioner {
  GstElement parent;
  CaptiondGemmaCaptionerImpl* impl;
};

G_DEFINE_TYPE(CaptiondGemmaCaptioner, captiond_gemma_captioner, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE(gemmacaptioner, "gemmacaptioner", GST_RANK_NONE,
                            captiond_gemma_captioner_get_type())

static CaptiondGemmaCaptionerImpl& impl_of(gpointer object) {
  return *CAPTIOND_GEMMA_CAPTIONER(object)->impl;
}

std::optional<EngineOffer> CaptiondGemmaCaptionerImpl::fitting_offer(
    const captiond::EngineOptions& wanted) {
  std::lock_guard lock(mutex);
  return offer && captiond::gst::fits(*offer, wanted) ? offer : std::nullopt;
}

// Throws what Engine::open() throws, and std::invalid_argument if there is nothing to open.
void CaptiondGemmaCaptionerImpl::open() {
  const captiond::EngineOptions wanted = settings_copy().engine;
  auto found = fitting_offer(wanted);
  if (!found) {
    // Whoever has an engine answers by gst_element_set_context(), before this returns.
    gst_element_post_message(element, gst_message_new_need_context(
                                          GST_OBJECT(element), captiond::gst::kEngineContextType));
    found = fitting_offer(wanted);
  }
  if (found) {
    engine = found->engine;
    return;
  }
  if (wanted.model.empty()) {
    throw std::invalid_argument(
        "gemmacaptioner has no model: set its property 'model' to the folder of a gemma4_unified "
        "checkpoint, or give the pipeline a captiond.engine context.");
  }
  engine = Engine::open(wanted);
  const ContextHandle context = captiond::gst::make_engine_context({engine, wanted});
  gst_element_set_context(element, context.get());
  gst_element_post_message(
      element, gst_message_new_have_context(GST_OBJECT(element), gst_context_ref(context.get())));
}

std::vector<PadHandle> CaptiondGemmaCaptionerImpl::src_pads() const {
  std::vector<PadHandle> pads;
  GST_OBJECT_LOCK(element);
  for (GList* each = element->srcpads; each != nullptr; each = each->next) {
    pads.emplace_back(GST_PAD(gst_object_ref(each->data)));
  }
  GST_OBJECT_UNLOCK(element);
  return pads;
}

// Throws std::invalid_argument for pads or settings that do not fit each other.
void CaptiondGemmaCaptionerImpl::start() {
  CaptionerSettings now = settings_copy();
  {
    std::lock_guard lock(mutex);
    counters = std::make_shared<CaptionCounters>();
  }
  const PadHandle audio(gst_element_get_static_pad(element, "audio"));
  const PadHandle vision(gst_element_get_static_pad(element, "vision"));
  for (const PadHandle& pad : src_pads()) {
    const std::string name = GST_PAD_NAME(pad.get());
    const bool sees = name == "scene";
    if ((sees ? vision : audio) == nullptr) {
      throw std::invalid_argument("Pad '" + name + "' of gemmacaptioner is there, but not pad '" +
                                  (sees ? "vision" : "audio") +
                                  "' that its text is made from: link that, too, or name another "
                                  "pad ('transcript', 'translation_XX', 'scene').");
    }
    const std::string language = translation_language(name);
    if (!language.empty()) now.speech.translations.push_back(language);
  }
  if (audio)
    speech = std::make_unique<SpeechBranch>(surroundings(audio.get(), now), engine, now.speech);
  if (vision)
    scene = std::make_unique<SceneBranch>(surroundings(vision.get(), now), engine, now.scene);
}

CaptionBranch::Surroundings CaptiondGemmaCaptionerImpl::surroundings(GstPad* sink,
                                                                     const CaptionerSettings& now) {
  CaptionBranch::Surroundings out{element, sink, {}, now.live, counters};
  const bool sees = std::string(GST_PAD_NAME(sink)) == "vision";
  for (PadHandle& pad : src_pads()) {
    const std::string name = GST_PAD_NAME(pad.get());
    if ((name == "scene") != sees) continue;
    std::string language = translation_language(name);
    if (language.empty() && !sees) language = now.speech.language;
    out.outputs.push_back({std::move(pad), name, std::move(language)});
  }
  return out;
}

void CaptiondGemmaCaptionerImpl::shut() {
  if (speech) speech->shut();
  if (scene) scene->shut();
}

void CaptiondGemmaCaptionerImpl::stop() {
  speech.reset();
  scene.reset();
}

CaptionBranch* CaptiondGemmaCaptionerImpl::branch_of(GstPad* pad) const {
  const std::string name = GST_PAD_NAME(pad);
  if (name == "vision" || name == "scene") return scene.get();
  return speech.get();
}

GstPad* CaptiondGemmaCaptionerImpl::make_sink_pad(GstPadTemplate* pad_template, const char* name) {
  GstPad* pad = gst_pad_new_from_template(pad_template, name);
  gst_pad_set_chain_function(pad, [](GstPad* self, GstObject* parent, GstBuffer* buffer) {
    const captiond::gst::BufferHandle owned(buffer);
    return guarded(parent, GST_FLOW_ERROR, [&] {
      CaptionBranch* branch = impl_of(parent).branch_of(self);
      return branch != nullptr ? branch->take(owned.get()) : GST_FLOW_FLUSHING;
    });
  });
  gst_pad_set_event_function(pad, [](GstPad* self, GstObject* parent, GstEvent* event) -> gboolean {
    EventHandle owned(event);
    return guarded(parent, false, [&] {
      CaptionBranch* branch = impl_of(parent).branch_of(self);
      return branch != nullptr && branch->handle_event(std::move(owned));
    });
  });
  return pad;
}

// Null, with a reason on the log, for a name that cannot be had.
GstPad* CaptiondGemmaCaptionerImpl::request_pad(GstPadTemplate* pad_template, const gchar* name) {
  const std::string kind = GST_PAD_TEMPLATE_NAME_TEMPLATE(pad_template);
  const std::string wanted = name != nullptr ? name : kind;
  const auto refuse = [&](const char* why) -> GstPad* {
    GST_WARNING_OBJECT(element, "pad '%s' is refused: %s", wanted.c_str(), why);
    return nullptr;
  };
  if (GST_STATE(element) > GST_STATE_READY || GST_STATE_PENDING(element) > GST_STATE_READY) {
    return refuse("pads are requested in NULL or READY, before the stream starts");
  }
  if (kind == translation_template.name_template) {
    if (!captiond::is_language(translation_language(wanted))) {
      return refuse("the name must be translation_ and a two-letter ISO 639-1 code");
    }
  } else if (wanted != kind) {
    return refuse("there is only one pad of this kind, and it is named like its template");
  }
  if (PadHandle(gst_element_get_static_pad(element, wanted.c_str())) != nullptr) {
    return refuse("it is there already");
  }
  if (GST_PAD_TEMPLATE_DIRECTION(pad_template) == GST_PAD_SINK) {
    return make_sink_pad(pad_template, wanted.c_str());
  }
  GstPad* pad = TextPad::make(pad_template, wanted);
  gst_pad_set_query_function(pad, [](GstPad* self, GstObject* parent, GstQuery* query) -> gboolean {
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) {
      return gst_pad_query_default(self, parent, query);
    }
    return guarded(parent, false, [&] {
      const CaptionBranch* branch = impl_of(parent).branch_of(self);
      return branch != nullptr && branch->handle_latency(query);
    });
  });
  return pad;
}

static void captiond_gemma_captioner_init(CaptiondGemmaCaptioner* self) {
  self->impl = new CaptiondGemmaCaptionerImpl(GST_ELEMENT(self));
}

static void captiond_gemma_captioner_finalize(GObject* object) {
  delete &impl_of(object);
  G_OBJECT_CLASS(captiond_gemma_captioner_parent_class)->finalize(object);
}

static void captiond_gemma_captioner_set_property(GObject* object, guint id, const GValue* value,
                                                  GParamSpec* pspec) {
  CaptiondGemmaCaptionerImpl& impl = impl_of(object);
  std::lock_guard lock(impl.mutex);
  if (!captiond::gst::set_captioner_property(impl.settings, id, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void captiond_gemma_captioner_get_property(GObject* object, guint id, GValue* value,
                                                  GParamSpec* pspec) {
  CaptiondGemmaCaptionerImpl& impl = impl_of(object);
  std::lock_guard lock(impl.mutex);
  if (id == kStatisticsProperty) {
    g_value_take_boxed(value, captiond::gst::to_structure(*impl.counters).release());
  } else if (!captiond::gst::get_captioner_property(impl.settings, id, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void captiond_gemma_captioner_set_context(GstElement* element, GstContext* context) {
  if (auto offer = captiond::gst::engine_in(context)) {
    CaptiondGemmaCaptionerImpl& impl = impl_of(element);
    std::lock_guard lock(impl.mutex);
    impl.offer = std::move(offer);
  }
  GST_ELEMENT_CLASS(captiond_gemma_captioner_parent_class)->set_context(element, context);
}

static GstStateChangeReturn captiond_gemma_captioner_change_state(GstElement* element,
                                                                  GstStateChange transition) {
  CaptiondGemmaCaptionerImpl& impl = impl_of(element);
  const auto parent_change = GST_ELEMENT_CLASS(captiond_gemma_captioner_parent_class)->change_state;
  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !started(element, [&] { impl.open(); })) {
    return GST_STATE_CHANGE_FAILURE;
  }
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !started(element, [&] { impl.start(); })) {
    impl.shut();
    impl.stop();
    return GST_STATE_CHANGE_FAILURE;
  }
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) impl.shut();
  const GstStateChangeReturn result = parent_change(element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) impl.stop();
  if (transition == GST_STATE_CHANGE_READY_TO_NULL) impl.engine.reset();
  return result;
}

static GstPad* captiond_gemma_captioner_request_new_pad(GstElement* element,
                                                        GstPadTemplate* pad_template,
                                                        const gchar* name, const GstCaps*) {
  return guarded(element, static_cast<GstPad*>(nullptr), [&] {
    GstPad* pad = impl_of(element).request_pad(pad_template, name);
    if (pad != nullptr) gst_element_add_pad(element, pad);
    return pad;
  });
}

static void captiond_gemma_captioner_class_init(CaptiondGemmaCaptionerClass* klass) {
  GST_DEBUG_CATEGORY_INIT(captiond_gemma_captioner_debug, "gemmacaptioner", 0, "captions");
  auto* object = G_OBJECT_CLASS(klass);
  object->finalize = captiond_gemma_captioner_finalize;
  object->set_property = captiond_gemma_captioner_set_property;
  object->get_property = captiond_gemma_captioner_get_property;
  captiond::gst::install_captioner_properties(object);
  g_object_class_install_property(
      object, kStatisticsProperty,
      g_param_spec_boxed("statistics", "statistics",
                         "Counts since the stream started: segments, partials, partials-skipped, "
                         "tokens, draft-accepted, truncated, blips, translations, scenes, "
                         "scenes-skipped, dropped (patches of audio given up)",
                         GST_TYPE_STRUCTURE,
                         GParamFlags(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));

  auto* element = GST_ELEMENT_CLASS(klass);
  for (GstStaticPadTemplate* pad_template :
       {&audio_template, &vision_template, &transcript_template, &translation_template,
        &scene_template}) {
    gst_element_class_add_static_pad_template(element, pad_template);
  }
  gst_element_class_set_static_metadata(
      element, "Gemma captioner", "Transcriber/Audio/Video",
      "Transcribes and translates speech and describes pictures with a Gemma 4 model", "captiond");
  element->set_context = captiond_gemma_captioner_set_context;
  element->change_state = captiond_gemma_captioner_change_state;
  element->request_new_pad = captiond_gemma_captioner_request_new_pad;
  element->release_pad = [](GstElement* self, GstPad* pad) {
    gst_pad_set_active(pad, FALSE);
    gst_element_remove_pad(self, pad);
  };
}
