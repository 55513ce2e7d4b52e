#include "elements/scene_branch.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "elements/gst_handle.h"
#include "elements/mapped_picture.h"

namespace captiond::gst {
namespace {

constexpr std::size_t kCapacity = 2;  // pictures: up to 7 MB each as patches, 25 MB as 4K pixels

}  // namespace

SceneBranch::SceneBranch(Surroundings surroundings, const std::shared_ptr<Engine>& engine,
                         const SceneOptions& options)
    : CaptionBranch(std::move(surroundings), 0) {
  const auto make = [&](CaptionWorker<SceneCaptioner>::Post post) {
    CaptionPorts ports{std::move(post), [this](const CaptionEvent& event) { tell(event); }};
    return std::make_unique<SceneCaptioner>(engine, options, std::move(ports), counters());
  };
  auto worker = std::make_unique<CaptionWorker<SceneCaptioner>>(
      kCapacity, make, [this](std::exception_ptr error) { fail(std::move(error)); });
  worker_ = worker.get();
  set_worker(std::move(worker));
}

void SceneBranch::set_caps(const GstCaps* caps) {
  const GstStructure* structure = gst_caps_get_structure(caps, 0);
  pixels_.reset();
  rows_ = 0;
  columns_ = 0;
  if (gst_structure_has_name(structure, "video/x-raw")) {
    if (!gst_video_info_from_caps(&pixels_.emplace(), caps)) {
      const StringHandle text(gst_caps_to_string(caps));
      throw std::runtime_error(std::string("Pictures of caps ") + text.get() +
                               " cannot be read: put videoconvert before gemmacaptioner.");
    }
    return;
  }
  gint rows = 0;
  gint columns = 0;
  gst_structure_get_int(structure, "rows", &rows);
  gst_structure_get_int(structure, "columns", &columns);
  rows_ = static_cast<std::size_t>(rows);
  columns_ = static_cast<std::size_t>(columns);
}

// Pixels stay in their buffer, which is given back once the picture was described or passed over.
Picture SceneBranch::picture_of(GstBuffer* buffer) const {
  Picture picture;
  if (pixels_) {
    struct Pixels {
      Pixels(const GstVideoInfo& info, GstBuffer* from) : mapped(info, from), view(mapped.view()) {}
      MappedPicture mapped;
      ImageView view;
    };
    const auto pixels = std::make_shared<const Pixels>(*pixels_, buffer);
    picture.pixels = std::shared_ptr<const ImageView>(pixels, &pixels->view);
    return picture;
  }
  const std::size_t wanted = rows_ * columns_ * VisionPatches::kBytesPerPatch;
  const MappedBuffer mapped(buffer, GST_MAP_READ);
  if (wanted == 0 || mapped.bytes().size() != wanted) {
    throw std::runtime_error("A buffer of vision patches has " +
                             std::to_string(mapped.bytes().size()) +
                             " bytes, its caps say rows=" + std::to_string(rows_) +
                             ", columns=" + std::to_string(columns_) + " and so " +
                             std::to_string(wanted) + ": put visionpatcher before gemmacaptioner.");
  }
  picture.patches.rows = rows_;
  picture.patches.columns = columns_;
  picture.patches.pixels.assign(mapped.bytes().begin(), mapped.bytes().end());
  return picture;
}

GstFlowReturn SceneBranch::take(GstBuffer* buffer) {
  const auto time = stream_time(GST_BUFFER_PTS(buffer));
  Picture picture = picture_of(buffer);
  if (!time) return flow_after(true);  // outside the segment: not to be shown
  picture.time = *time;
  return flow_after(worker_->push(std::move(picture)) ==
                    CaptionWorker<SceneCaptioner>::Pushed::kTaken);
}

}  // namespace captiond::gst
