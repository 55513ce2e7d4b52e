#pragma once

#include <cstddef>
#include <memory>

#include "elements/caption_branch.h"
#include "elements/scene_captioner.h"

namespace captiond::gst {

// The `vision` pad: pictures to `scene`.
class SceneBranch final : public CaptionBranch {
 public:
  // Throws what SceneCaptioner throws.
  SceneBranch(Surroundings surroundings, const std::shared_ptr<Engine>& engine,
              const SceneOptions& options);

  GstFlowReturn take(GstBuffer* buffer) override;

 private:
  void set_caps(const GstCaps* caps) override;

  CaptionWorker<SceneCaptioner>* worker_ = nullptr;  // owned by the base
  std::size_t rows_ = 0;                             // streaming thread; 0: no caps yet
  std::size_t columns_ = 0;
};

}  // namespace captiond::gst
