#pragma once

#include <functional>

#include "elements/caption_event.h"

namespace captiond {

// What a captioner needs of its surroundings.
struct CaptionPorts {
  // Runs a closure on the captioner's thread, soon. Called from any thread, also after the
  // captioner is gone: then the closure is dropped.
  std::function<void(std::function<void()>)> post;
  // Takes an event. Called on the captioner's thread; may block to slow the captioner down.
  std::function<void(CaptionEvent)> emit;
};

}  // namespace captiond
