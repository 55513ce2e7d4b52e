#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include <gst/video/video.h>

#include "elements/caption_branch.h"
#include "elements/scene_captioner.h"

namespace captiond::gst {

// The `vision` pad: pictures, as patches or as pixels, to `scene`.
class SceneBranch final : public CaptionBranch {
 public:
  // Throws what SceneCaptioner throws.
  SceneBranch(Surroundings surroundings, const std::shared_ptr<Engine>& engine,
              const SceneOptions& options);

  GstFlowReturn take(GstBuffer* buffer) override;

 private:
  void set_caps(const GstCaps* caps) override;
  Picture picture_of(GstBuffer* buffer) const;

  CaptionWorker<SceneCaptioner>* worker_ = nullptr;  // owned by the base
  // What the caps say; streaming thread.
  std::optional<GstVideoInfo> pixels_;  // none: patches come
  std::size_t rows_ = 0;                // 0: no caps yet
  std::size_t columns_ = 0;
};

}  // namespace captiond::gst
