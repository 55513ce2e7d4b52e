// libgstcaptiond.so: the elements for GStreamer programs other than the daemon. GST_PLUGIN_PATH
// must name its folder.
#include <gst/gst.h>

#include "elements/registration.h"

#define PACKAGE "captiond"  // GST_PLUGIN_DEFINE reads it

static gboolean plugin_init(GstPlugin* plugin) {
  return captiond::gst::register_elements(plugin) ? TRUE : FALSE;
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, captiond,
                  "Captions of speech and pictures by one multimodal model", plugin_init,
                  CAPTIOND_VERSION, GST_LICENSE_UNKNOWN, PACKAGE, PACKAGE)
