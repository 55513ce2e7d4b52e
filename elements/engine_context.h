// How an Engine reaches gemmacaptioner: in a GstContext, as GL and CUDA contexts reach their
// elements. An application sets it on the pipeline (gst_element_set_context) or answers the
// NEED_CONTEXT message; a captioner that has opened an engine itself offers it to its pipeline
// (HAVE_CONTEXT), so that a second one with the same model shares it.
#pragma once

#include <memory>
#include <optional>

#include <gst/gst.h>

#include "elements/gst_handle.h"
#include "model/engine.h"

namespace captiond::gst {

inline constexpr const char* kEngineContextType = "captiond.engine";

// An engine and what it was opened with. `options.model` may be empty: then it fits every captioner
// whose `model` property is unset.
struct EngineOffer {
  std::shared_ptr<Engine> engine;
  EngineOptions options;
};

// Persistent; holds a reference to the engine until it is freed. The structure has one field,
// `offer`, of a boxed type whose copies share the engine.
ContextHandle make_engine_context(const EngineOffer& offer);

// The offer in `context`; nullopt if it is of another type or empty.
std::optional<EngineOffer> engine_in(const GstContext* context);

// Whether an element that would open `wanted` can use `offer`: it names no model of its own, or the
// same folder, device and dtype.
bool fits(const EngineOffer& offer, const EngineOptions& wanted);

}  // namespace captiond::gst
