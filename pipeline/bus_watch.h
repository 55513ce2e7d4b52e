#pragma once

#include <functional>
#include <string>

#include <gst/gst.h>

namespace captiond {

// Calls `handler` on the main loop with every message of a pipeline's bus, in order. Main thread
// only. The handler borrows the message, must not throw, and may destroy the watch.
class BusWatch {
 public:
  BusWatch(GstElement* pipeline, std::function<void(GstMessage*)> handler);
  ~BusWatch();
  BusWatch(const BusWatch&) = delete;
  BusWatch& operator=(const BusWatch&) = delete;

 private:
  GSource* source_;
};

// What an ERROR or WARNING message says, as one sentence without a full stop: the message, and what
// the element added to it.
struct BusReport {
  explicit BusReport(GstMessage* message);
  std::string sentence;
  std::string source;  // path of the element, for logs
};

}  // namespace captiond
