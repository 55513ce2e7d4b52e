#pragma once

#include <string>

#include <gst/gst.h>

namespace captiond {

// Makes an element and adds it to `bin`, which owns it; the pointer returned is borrowed. Throws
// StreamError, naming the package that has it, if there is no such element.
GstElement* add_element(GstBin* bin, const std::string& factory, const std::string& name);

// Links `source` to `sink`. Throws StreamError if they do not fit.
void link_elements(GstElement* source, GstElement* sink);

}  // namespace captiond
