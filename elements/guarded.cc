#include "elements/guarded.h"

namespace captiond::gst {

void post_stream_error(gpointer element, const char* sentence) noexcept {
  GST_ELEMENT_ERROR(element, STREAM, FAILED, ("%s", sentence), (nullptr));
}

}  // namespace captiond::gst
