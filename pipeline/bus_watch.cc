#include "pipeline/bus_watch.h"

#include <string_view>
#include <utility>

#include "elements/gst_handle.h"

namespace captiond {
namespace {

using Handler = std::function<void(GstMessage*)>;

// noexcept: an exception has no way through GLib, and a handler that throws is a bug.
gboolean handle_message(GstBus*, GstMessage* message, gpointer data) noexcept {
  (*static_cast<Handler*>(data))(message);
  return G_SOURCE_CONTINUE;
}

// GStreamer's debug text is "file.c(12): function (): /path/of/element" and then, on the next line,
// what the element had to add.
std::string addition_in(std::string_view debug) {
  const auto line = debug.find('\n');
  if (line == std::string_view::npos) return {};
  debug.remove_prefix(line + 1);
  return std::string(debug.substr(0, debug.find('\n')));
}

std::string without_full_stop(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

BusWatch::BusWatch(GstElement* pipeline, Handler handler) {
  const gst::BusHandle bus(gst_element_get_bus(pipeline));
  source_ = gst_bus_create_watch(bus.get());
  g_source_set_callback(source_, G_SOURCE_FUNC(handle_message), new Handler(std::move(handler)),
                        [](gpointer data) { delete static_cast<Handler*>(data); });
  g_source_attach(source_, nullptr);
}

BusWatch::~BusWatch() {
  g_source_destroy(source_);
  g_source_unref(source_);
}

BusReport::BusReport(GstMessage* message) {
  GError* error = nullptr;
  gchar* debug = nullptr;
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_WARNING) {
    gst_message_parse_warning(message, &error, &debug);
  } else {
    gst_message_parse_error(message, &error, &debug);
  }
  const gst::ErrorHandle owned_error(error);
  const gst::StringHandle owned_debug(debug);
  sentence = without_full_stop(error->message);
  const std::string addition = without_full_stop(addition_in(debug != nullptr ? debug : ""));
  if (!addition.empty() && addition != sentence) sentence += " (" + addition + ")";
  const gst::StringHandle path(gst_object_get_path_string(GST_MESSAGE_SRC(message)));
  source = path.get();
}

}  // namespace captiond
