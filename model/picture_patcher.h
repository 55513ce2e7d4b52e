#pragma once

#include <cstddef>

#include "model/image.h"
#include "model/vision_patches.h"

namespace captiond {

// Scales pictures and cuts them into patches on a device: the same bytes as vision_patches(). Safe
// from any thread; blocks until the patches are there.
class PicturePatcher {
 public:
  virtual ~PicturePatcher() = default;
  PicturePatcher(const PicturePatcher&) = delete;
  PicturePatcher& operator=(const PicturePatcher&) = delete;

  // See Engine::patches().
  virtual VisionPatches patches(const ImageView& picture, std::size_t soft_tokens_max) = 0;

 protected:
  PicturePatcher() = default;
};

}  // namespace captiond
