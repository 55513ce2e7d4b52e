#pragma once

#include <gst/base/gstbasetransform.h>

// visionpatcher: RGB pictures in, the model's 48x48 patches out (caps in elements/patch_caps.h),
// one picture a buffer, scaled to the grid that its size and the property max-soft-tokens give. The
// caps say the grid, so a new input size or budget is a new grid.
//
// Pixels must be square: other pixel aspect ratios are not accepted, and videoscale before the
// element makes them so. Flags, timestamps and metas pass unchanged.
//
// A GstBaseTransform: one buffer in gives one buffer out, and nothing waits.
G_BEGIN_DECLS
G_DECLARE_FINAL_TYPE(CaptiondVisionPatcher, captiond_vision_patcher, CAPTIOND, VISION_PATCHER,
                     GstBaseTransform)
GST_ELEMENT_REGISTER_DECLARE(visionpatcher)
G_END_DECLS
