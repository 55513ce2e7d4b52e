#include "elements/registration.h"

#include "elements/audiopatcher.h"
#include "elements/gemmacaptioner.h"
#include "elements/visionpatcher.h"

namespace captiond::gst {

bool register_elements(GstPlugin* plugin) noexcept {
  return GST_ELEMENT_REGISTER(audiopatcher, plugin) &&
         GST_ELEMENT_REGISTER(visionpatcher, plugin) &&
         GST_ELEMENT_REGISTER(gemmacaptioner, plugin);
}

}  // namespace captiond::gst
