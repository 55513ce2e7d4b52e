#include "elements/engine_context.h"

#include <filesystem>
#include <system_error>

namespace captiond::gst {
namespace {

constexpr const char* kField = "offer";

GType offer_type() {
  static const GType type = g_boxed_type_register_static(
      "CaptiondEngineOffer",
      [](gpointer offer) -> gpointer { return new EngineOffer(*static_cast<EngineOffer*>(offer)); },
      [](gpointer offer) { delete static_cast<EngineOffer*>(offer); });
  return type;
}

bool same_folder(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  return a == b || std::filesystem::equivalent(a, b, error);
}

}  // namespace

ContextHandle make_engine_context(const EngineOffer& offer) {
  ContextHandle context(gst_context_new(kEngineContextType, TRUE));
  gst_structure_set(gst_context_writable_structure(context.get()), kField, offer_type(), &offer,
                    nullptr);
  return context;
}

std::optional<EngineOffer> engine_in(const GstContext* context) {
  if (context == nullptr || !gst_context_has_context_type(context, kEngineContextType)) {
    return std::nullopt;
  }
  const GValue* value = gst_structure_get_value(gst_context_get_structure(context), kField);
  if (value == nullptr || !G_VALUE_HOLDS(value, offer_type())) return std::nullopt;
  const auto* offer = static_cast<const EngineOffer*>(g_value_get_boxed(value));
  if (offer == nullptr || !offer->engine) return std::nullopt;
  return *offer;
}

bool fits(const EngineOffer& offer, const EngineOptions& wanted) {
  if (wanted.model.empty()) return true;
  return same_folder(offer.options.model, wanted.model) && offer.options.device == wanted.device &&
         offer.options.dtype == wanted.dtype;
}

}  // namespace captiond::gst
