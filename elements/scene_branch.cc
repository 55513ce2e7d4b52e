#include "elements/scene_branch.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace captiond::gst {
namespace {

constexpr std::size_t kCapacity = 2;  // pictures: up to 7 MB each

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
  gint rows = 0;
  gint columns = 0;
  gst_structure_get_int(structure, "rows", &rows);
  gst_structure_get_int(structure, "columns", &columns);
  rows_ = static_cast<std::size_t>(rows);
  columns_ = static_cast<std::size_t>(columns);
}

GstFlowReturn SceneBranch::take(GstBuffer* buffer) {
  const auto time = stream_time(GST_BUFFER_PTS(buffer));
  const std::size_t wanted = rows_ * columns_ * VisionPatches::kBytesPerPatch;
  const MappedBuffer mapped(buffer, GST_MAP_READ);
  if (wanted == 0 || mapped.bytes().size() != wanted) {
    throw std::runtime_error("A buffer of vision patches has " +
                             std::to_string(mapped.bytes().size()) +
                             " bytes, its caps say rows=" + std::to_string(rows_) +
                             ", columns=" + std::to_string(columns_) + " and so " +
                             std::to_string(wanted) + ": put visionpatcher before gemmacaptioner.");
  }
  if (!time) return flow_after(true);  // outside the segment: not to be shown
  Picture picture;
  picture.time = *time;
  picture.patches.rows = rows_;
  picture.patches.columns = columns_;
  picture.patches.pixels.assign(mapped.bytes().begin(), mapped.bytes().end());
  return flow_after(worker_->push(std::move(picture)) ==
                    CaptionWorker<SceneCaptioner>::Pushed::kTaken);
}

}  // namespace captiond::gst
