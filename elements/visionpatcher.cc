#include "elements/visionpatcher.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include <gst/video/video.h>

#include "elements/gst_handle.h"
#include "elements/guarded.h"
#include "elements/mapped_picture.h"
#include "elements/patch_caps.h"
#include "model/vision_patcher.h"

GST_DEBUG_CATEGORY_STATIC(captiond_vision_patcher_debug);
#define GST_CAT_DEFAULT captiond_vision_patcher_debug

namespace {

using captiond::ImageSize;
using captiond::PatchGrid;
using captiond::VisionPatcher;
using captiond::gst::CapsHandle;
using captiond::gst::guarded;
using captiond::gst::MappedBuffer;
using captiond::gst::MappedPicture;

struct Settings {              // written by the application thread, copied when needed
  guint max_soft_tokens = 70;  // the model's budget for a frame of a video
};

enum Property : guint { kMaxSoftTokens = 1 };

GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPTIOND_PICTURE_CAPS));
GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(CAPTIOND_VISION_PATCHES_CAPS));

// The picture size that caps fix; nullopt if they leave it open or it is none.
std::optional<ImageSize> fixed_size(const GstStructure* picture) {
  gint width = 0;
  gint height = 0;
  if (!gst_structure_get_int(picture, "width", &width) ||
      !gst_structure_get_int(picture, "height", &height) || width < 1 || height < 1 ||
      std::max(width, height) > gint{captiond::ImageResizer::kSideMax}) {
    return std::nullopt;
  }
  return ImageSize{static_cast<std::size_t>(width), static_cast<std::size_t>(height)};
}

CapsHandle patch_caps(PatchGrid grid) {
  return CapsHandle(gst_caps_new_simple(CAPTIOND_VISION_PATCHES_MEDIA_TYPE, "columns", G_TYPE_INT,
                                        static_cast<gint>(grid.columns), "rows", G_TYPE_INT,
                                        static_cast<gint>(grid.rows), nullptr));
}

}  // namespace

struct CaptiondVisionPatcherImpl {
  std::mutex mutex;  // guards settings and started
  Settings settings;
  std::optional<Settings> started;  // what start() has checked and holds until stop()

  struct State {  // streaming thread only; State{} again in start()
    std::optional<VisionPatcher> patcher;
    GstVideoInfo info{};
  };
  State state;

  std::size_t budget() {
    const std::lock_guard lock(mutex);
    return started.value_or(settings).max_soft_tokens;
  }

  void start();
  void stop();
  CapsHandle transform_caps(GstPadDirection direction, const GstCaps* caps);
  void set_caps(const GstCaps* picture_caps);
  void transform(GstBuffer* picture, GstBuffer* patches);
};

void CaptiondVisionPatcherImpl::start() {
  state = State{};
  const std::lock_guard lock(mutex);
  captiond::require_vision_budget(settings.max_soft_tokens);
  started = settings;
}

void CaptiondVisionPatcherImpl::stop() {
  state = State{};
  const std::lock_guard lock(mutex);
  started.reset();
}

// What the other side of `direction` has when this one has `caps`. A budget that start() is going
// to refuse leaves the grid open here.
CapsHandle CaptiondVisionPatcherImpl::transform_caps(GstPadDirection direction,
                                                     const GstCaps* caps) {
  if (direction == GST_PAD_SRC) return CapsHandle(gst_static_pad_template_get_caps(&sink_template));
  const std::size_t soft_tokens_max = budget();
  CapsHandle result(gst_caps_new_empty());
  for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
    const auto size = fixed_size(gst_caps_get_structure(caps, i));
    if (!size || !captiond::is_vision_budget(soft_tokens_max)) {
      return CapsHandle(gst_static_pad_template_get_caps(&src_template));
    }
    const PatchGrid grid = captiond::target_grid(*size, soft_tokens_max);
    result.reset(gst_caps_merge(result.release(), patch_caps(grid).release()));
  }
  return result;
}

void CaptiondVisionPatcherImpl::set_caps(const GstCaps* picture_caps) {
  if (!gst_video_info_from_caps(&state.info, picture_caps)) {
    const captiond::gst::StringHandle text(gst_caps_to_string(picture_caps));
    throw std::runtime_error(std::string("visionpatcher cannot read pictures of caps ") +
                             text.get());
  }
  state.patcher.emplace(ImageSize{static_cast<std::size_t>(GST_VIDEO_INFO_WIDTH(&state.info)),
                                  static_cast<std::size_t>(GST_VIDEO_INFO_HEIGHT(&state.info))},
                        budget());
}

void CaptiondVisionPatcherImpl::transform(GstBuffer* picture, GstBuffer* patches) {
  const MappedPicture from(state.info, picture);
  const MappedBuffer to(patches, GST_MAP_WRITE);
  state.patcher->patch(from.view(), to.bytes());
}

struct _CaptiondVisionPatcher {
  GstBaseTransform parent;
  CaptiondVisionPatcherImpl* impl;
};

G_DEFINE_TYPE(CaptiondVisionPatcher, captiond_vision_patcher, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(visionpatcher, "visionpatcher", GST_RANK_NONE,
                            captiond_vision_patcher_get_type())

static CaptiondVisionPatcherImpl& impl_of(gpointer object) {
  return *CAPTIOND_VISION_PATCHER(object)->impl;
}

static void captiond_vision_patcher_init(CaptiondVisionPatcher* self) {
  self->impl = new CaptiondVisionPatcherImpl;
}

static void captiond_vision_patcher_finalize(GObject* object) {
  delete CAPTIOND_VISION_PATCHER(object)->impl;
  G_OBJECT_CLASS(captiond_vision_patcher_parent_class)->finalize(object);
}

static void captiond_vision_patcher_set_property(GObject* object, guint id, const GValue* value,
                                                 GParamSpec* pspec) {
  auto& impl = impl_of(object);
  const std::lock_guard lock(impl.mutex);
  switch (id) {
    case kMaxSoftTokens:
      impl.settings.max_soft_tokens = g_value_get_uint(value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void captiond_vision_patcher_get_property(GObject* object, guint id, GValue* value,
                                                 GParamSpec* pspec) {
  auto& impl = impl_of(object);
  const std::lock_guard lock(impl.mutex);
  switch (id) {
    case kMaxSoftTokens:
      g_value_set_uint(value, impl.settings.max_soft_tokens);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void install_transform(GstBaseTransformClass* transform) {
  transform->passthrough_on_same_caps = FALSE;
  transform->start = [](GstBaseTransform* base) -> gboolean {
    return guarded(base, false, [&] {
      impl_of(base).start();
      return true;
    });
  };
  transform->stop = [](GstBaseTransform* base) -> gboolean {
    impl_of(base).stop();
    return TRUE;
  };
  transform->transform_caps = [](GstBaseTransform* base, GstPadDirection direction, GstCaps* caps,
                                 GstCaps* filter) -> GstCaps* {
    return guarded(base, static_cast<GstCaps*>(nullptr), [&] {
      CapsHandle result = impl_of(base).transform_caps(direction, caps);
      if (!filter) return result.release();
      return gst_caps_intersect_full(filter, result.get(), GST_CAPS_INTERSECT_FIRST);
    });
  };
  transform->set_caps = [](GstBaseTransform* base, GstCaps* in, GstCaps*) -> gboolean {
    return guarded(base, false, [&] {
      impl_of(base).set_caps(in);
      return true;
    });
  };
  transform->transform_size = [](GstBaseTransform* base, GstPadDirection direction, GstCaps*, gsize,
                                 GstCaps*, gsize* size) -> gboolean {
    const auto& patcher = impl_of(base).state.patcher;
    if (direction != GST_PAD_SINK || !patcher) return FALSE;
    *size = patcher->grid().bytes();
    return TRUE;
  };
  transform->propose_allocation = [](GstBaseTransform*, GstQuery*, GstQuery* query) -> gboolean {
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);  // any row stride
    return TRUE;
  };
  transform->transform = [](GstBaseTransform* base, GstBuffer* in, GstBuffer* out) {
    return guarded(base, GST_FLOW_ERROR, [&] {
      impl_of(base).transform(in, out);
      return GST_FLOW_OK;
    });
  };
}

static void captiond_vision_patcher_class_init(CaptiondVisionPatcherClass* klass) {
  GST_DEBUG_CATEGORY_INIT(captiond_vision_patcher_debug, "visionpatcher", 0, "pictures to patches");

  auto* object = G_OBJECT_CLASS(klass);
  object->finalize = captiond_vision_patcher_finalize;
  object->set_property = captiond_vision_patcher_set_property;
  object->get_property = captiond_vision_patcher_get_property;
  g_object_class_install_property(
      object, kMaxSoftTokens,
      g_param_spec_uint(
          "max-soft-tokens", "Max soft tokens",
          "Soft tokens a picture may become, its resolution for the model: one of "
          "70, 140, 280, 560, 1120 (70 or 140 for video, 560 or 1120 to read text)",
          70, 1120, Settings{}.max_soft_tokens,
          GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)));

  auto* element = GST_ELEMENT_CLASS(klass);
  gst_element_class_add_static_pad_template(element, &sink_template);
  gst_element_class_add_static_pad_template(element, &src_template);
  gst_element_class_set_static_metadata(
      element, "Vision patcher", "Filter/Converter/Video/Scaler",
      "Scales RGB pictures and cuts them into the 48x48 patches that gemmacaptioner sees",
      "The captiond authors");
  install_transform(GST_BASE_TRANSFORM_CLASS(klass));
}
