#pragma once

#include <gst/gst.h>

namespace captiond::gst {

// Registers every element of this folder: statically, for a program that links
// captiond_elements, if `plugin` is null. Call it after gst_init(). Returns false if GStreamer
// refuses one of them.
[[nodiscard]] bool register_elements(GstPlugin* plugin) noexcept;

}  // namespace captiond::gst
