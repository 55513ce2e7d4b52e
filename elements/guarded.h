#pragma once

#include <exception>

#include <gst/gst.h>

namespace captiond::gst {

// Posts one ERROR message (domain STREAM, code FAILED) with `sentence` on the bus of `element`.
void post_stream_error(gpointer element, const char* sentence) noexcept;

// The only place where a C++ exception meets GStreamer. Runs `body`; an exception becomes one
// ERROR message on the bus of `element` and `on_error` as the callback's return value.
template <class Result, class Body>
Result guarded(gpointer element, Result on_error, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    post_stream_error(element, error.what());
  } catch (...) {
    post_stream_error(element, "an exception of unknown type was thrown");
  }
  return on_error;
}

}  // namespace captiond::gst
