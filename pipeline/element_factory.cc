#include "pipeline/element_factory.h"

#include <string_view>

#include "pipeline/stream_error.h"

namespace captiond {
namespace {

// Where Debian and Ubuntu have an element; base elements are in libgstreamer itself.
std::string_view package_of(std::string_view factory) {
  if (factory == "webrtcdsp") return "gstreamer1.0-plugins-bad";
  if (factory == "queue" || factory == "capsfilter" || factory == "fakesink" ||
      factory == "clocksync") {
    return "libgstreamer1.0-0";
  }
  return "gstreamer1.0-plugins-base";
}

}  // namespace

GstElement* add_element(GstBin* bin, const std::string& factory, const std::string& name) {
  GstElement* element = gst_element_factory_make(factory.c_str(), name.c_str());
  if (element == nullptr) {
    throw StreamError("the GStreamer element " + factory + " is missing; the package " +
                      std::string(package_of(factory)) + " has it");
  }
  gst_bin_add(bin, element);  // takes the floating reference
  return element;
}

void link_elements(GstElement* source, GstElement* sink) {
  if (gst_element_link(source, sink)) return;
  throw StreamError(std::string("the GStreamer elements ") + GST_OBJECT_NAME(source) + " and " +
                    GST_OBJECT_NAME(sink) + " cannot be linked");
}

}  // namespace captiond
