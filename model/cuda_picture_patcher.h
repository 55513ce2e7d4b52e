#pragma once

#include <cstddef>
#include <mutex>

#include "model/cuda_memory.h"
#include "model/image.h"
#include "model/picture_patcher.h"
#include "model/vision_patches.h"

struct CUevent_st;
struct CUstream_st;

namespace captiond {

namespace kernels {
struct AxisTaps;
}  // namespace kernels

struct ResizeTaps;

// Scales pictures on the GPU with the CPU's own tables, so that the bytes are the same. It has a
// stream and memory of its own and runs beside the steps of the engine: what a picture costs the
// host is a copy into pinned memory, sent piece by piece. One picture at a time.
class CudaPicturePatcher final : public PicturePatcher {
 public:
  // For pictures of up to `pixels_max` pixels, 1 to ImageResizer::kSideMax squared. All memory is
  // allocated here. Throws std::runtime_error when it is short.
  explicit CudaPicturePatcher(std::size_t pixels_max);
  ~CudaPicturePatcher() override;

  // Throws std::invalid_argument as vision_patches() does, RequestError for a picture that the
  // memory is too small for, kernels::CudaError.
  VisionPatches patches(const ImageView& picture, std::size_t soft_tokens_max) override;

  std::size_t device_bytes() const;

 private:
  // The tables on the device, and what they are for.
  struct Axis {
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    std::size_t offset = 0;  // of its first byte in tables_
    std::size_t bytes = 0;
    std::size_t count_max = 0;
    unsigned precision = 0;
  };

  void require_room(ImageSize picture, ImageSize scaled) const;
  void scale(const ImageView& picture, VisionPatches& patches);
  void prepare(ImageSize from, ImageSize to);
  Axis put(std::size_t inputs, std::size_t outputs, std::size_t offset);
  kernels::AxisTaps taps_of(const Axis& axis) const;
  void send_pixels(const ImageView& picture);
  void wait();

  const std::size_t pixels_max_;
  // One picture has it all.
  std::mutex mutex_;
  PinnedMemory staged_tables_;
  PinnedMemory staged_;  // the pixels on their way there, then the patches on their way back
  DeviceMemory tables_;
  DeviceMemory pixels_;
  DeviceMemory narrow_;  // after the first pass
  DeviceMemory patches_;
  Axis across_;
  Axis down_;
  CUstream_st* stream_ = nullptr;
  CUevent_st* done_ = nullptr;
};

}  // namespace captiond
