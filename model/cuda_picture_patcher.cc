#include "model/cuda_picture_patcher.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <cuda_runtime_api.h>

#include "model/check.h"
#include "model/engine.h"
#include "model/image_resize.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/picture_patches.h"
#include "model/vision_patcher.h"

namespace captiond {
namespace {

constexpr std::size_t kChannels = 3;
constexpr std::size_t kSide = VisionPatches::kSide;
constexpr std::size_t kPatchesBytesMax = VisionPatches::kPatchesMax * VisionPatches::kBytesPerPatch;
constexpr std::size_t kTableAlignment = 16;
// What is copied before it is sent: long enough for the bus, short enough that it never waits.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Room for the tables of both axes of any picture. An output has at most 4 * max(scale, 1) + 1
// weights, of two bytes, rounded up to a multiple of 8, and two numbers of four bytes: for both
// axes 8 * inputs + 32 * outputs bytes. The sides of a grid sum up to most where it is a strip, as
// those of a picture.
std::size_t table_bytes(std::size_t pixels_max) {
  const std::size_t longest = std::min(pixels_max, ImageResizer::kSideMax);
  const std::size_t inputs = longest + pixels_max / longest;
  const std::size_t outputs = kSide * (VisionPatches::kPatchesMax + 1);
  return 8 * inputs + 32 * outputs + 6 * kTableAlignment;
}

// Room between the passes: [height, scaled width, 3]. A picture scaled to its budget without
// change of shape has height * scaled width <= sqrt(pixels * scaled pixels).
std::size_t narrow_bytes(std::size_t pixels_max) {
  constexpr auto kScaledMax =
      static_cast<double>(VisionPatches::kPatchesMax * VisionPatches::kSide * VisionPatches::kSide);
  return kChannels * static_cast<std::size_t>(
                         std::ceil(std::sqrt(kScaledMax * static_cast<double>(pixels_max))));
}

std::string text(ImageSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

// Where the three arrays of one axis stand behind its offset.
struct TableLayout {
  explicit TableLayout(std::size_t outputs, std::size_t count_max)
      : count(round_up(outputs * sizeof(std::uint32_t), kTableAlignment)),
        weights(2 * count),
        bytes(weights + round_up(outputs * count_max * sizeof(std::int16_t), kTableAlignment)) {}
  std::size_t count;  // behind the `first` of each output
  std::size_t weights;
  std::size_t bytes;
};

}  // namespace

CudaPicturePatcher::CudaPicturePatcher(std::size_t pixels_max)
    : pixels_max_(pixels_max),
      staged_tables_(table_bytes(pixels_max), "the tables of scaled pictures"),
      staged_(std::max(kChannels * pixels_max, kPatchesBytesMax), "a picture to be scaled"),
      tables_(staged_tables_.bytes(), "the tables of scaled pictures"),
      pixels_(kChannels * pixels_max, "a picture to be scaled"),
      narrow_(narrow_bytes(pixels_max), "a picture to be scaled"),
      patches_(kPatchesBytesMax, "a scaled picture") {
  kernels::check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                      "Making a stream");
  // Who waits for a picture sleeps: a core is what the GPU is to save.
  const cudaError_t status =
      cudaEventCreateWithFlags(&done_, cudaEventBlockingSync | cudaEventDisableTiming);
  if (status != cudaSuccess) cudaStreamDestroy(stream_);
  kernels::check_cuda(status, "Making an event");
}

CudaPicturePatcher::~CudaPicturePatcher() {
  cudaStreamSynchronize(stream_);  // a failure was thrown where it happened
  cudaEventDestroy(done_);
  cudaStreamDestroy(stream_);
}

VisionPatches CudaPicturePatcher::patches(const ImageView& picture, std::size_t soft_tokens_max) {
  const PatchGrid grid = target_grid(picture.size, soft_tokens_max);
  if (picture.row_stride < kChannels * picture.size.width) {
    throw std::invalid_argument("a picture of " + text(picture.size) +
                                " pixels cannot be cut to patches: its rows have " +
                                std::to_string(picture.row_stride) + " bytes");
  }
  require_room(picture.size, grid.pixels());
  VisionPatches patches;
  patches.rows = grid.rows;
  patches.columns = grid.columns;
  patches.pixels.resize(grid.bytes());
  const std::lock_guard lock(mutex_);
  try {
    scale(picture, patches);
  } catch (const kernels::CudaError&) {
    // Nothing may be under way when the next picture writes the pinned memory. A GPU that failed
    // for good is told by the engine's next step.
    cudaStreamSynchronize(stream_);
    across_ = {};
    down_ = {};
    throw;
  }
  return patches;
}

void CudaPicturePatcher::require_room(ImageSize picture, ImageSize scaled) const {
  const std::string limit = " (picture_pixels_max " + std::to_string(pixels_max_) +
                            "); scale it down before, or raise " + "picture_pixels_max.";
  if (picture.width * picture.height > pixels_max_) {
    throw RequestError("A picture of " + text(picture) +
                       " pixels is larger than the GPU's memory "
                       "for pictures to be scaled" +
                       limit);
  }
  const std::size_t narrow = kChannels * scaled.width * picture.height;
  if (narrow > narrow_.bytes()) {
    throw RequestError("A picture of " + text(picture) + " pixels needs " + std::to_string(narrow) +
                       " bytes while it is scaled to " + text(scaled) + ", the GPU has " +
                       std::to_string(narrow_.bytes()) + " for that" + limit);
  }
}

void CudaPicturePatcher::scale(const ImageView& picture, VisionPatches& patches) {
  const PatchGrid grid{.columns = patches.columns, .rows = patches.rows};
  prepare(picture.size, grid.pixels());
  send_pixels(picture);
  const kernels::PictureScaling scaling{.pixels = pixels_.as<std::uint8_t>(),
                                        .width = static_cast<int>(picture.size.width),
                                        .height = static_cast<int>(picture.size.height),
                                        .across = taps_of(across_),
                                        .down = taps_of(down_),
                                        .narrow = narrow_.as<std::uint8_t>(),
                                        .patches = patches_.as<std::uint8_t>(),
                                        .columns = static_cast<int>(grid.columns),
                                        .rows = static_cast<int>(grid.rows)};
  kernels::check_cuda(kernels::scale_to_patches(scaling, stream_),
                      "The launch of scale_to_patches");
  kernels::check_cuda(cudaMemcpyAsync(staged_.data(), patches_.data(), grid.bytes(),
                                      cudaMemcpyDeviceToHost, stream_),
                      "Fetching a scaled picture");
  wait();
  std::memcpy(patches.pixels.data(), staged_.data(), grid.bytes());
}

// Makes and sends the tables, unless they are those of the picture before.
void CudaPicturePatcher::prepare(ImageSize from, ImageSize to) {
  if (across_.inputs == from.width && across_.outputs == to.width && down_.inputs == from.height &&
      down_.outputs == to.height) {
    return;
  }
  const Axis across = put(from.width, to.width, 0);
  const Axis down = put(from.height, to.height, across.bytes);
  kernels::check_cuda(cudaMemcpyAsync(tables_.data(), staged_tables_.data(),
                                      across.bytes + down.bytes, cudaMemcpyHostToDevice, stream_),
                      "Sending the tables of scaled pictures");
  // Not before: where memory for a table is short, the GPU still has those of the picture before.
  across_ = across;
  down_ = down;
}

CudaPicturePatcher::Axis CudaPicturePatcher::put(std::size_t inputs, std::size_t outputs,
                                                 std::size_t offset) {
  const ResizeTaps taps = resize_taps(inputs, outputs);
  const TableLayout layout(outputs, taps.count_max);
  check(offset + layout.bytes <= staged_tables_.bytes(), "tables fit the room that is for them");
  std::byte* at = staged_tables_.data() + offset;
  std::memcpy(at, taps.first.data(), outputs * sizeof(std::uint32_t));
  std::memcpy(at + layout.count, taps.count.data(), outputs * sizeof(std::uint32_t));
  std::memcpy(at + layout.weights, taps.weights.data(), taps.weights.size() * sizeof(std::int16_t));
  return {.inputs = inputs,
          .outputs = outputs,
          .offset = offset,
          .bytes = layout.bytes,
          .count_max = taps.count_max,
          .precision = taps.precision};
}

kernels::AxisTaps CudaPicturePatcher::taps_of(const Axis& axis) const {
  const TableLayout layout(axis.outputs, axis.count_max);
  const std::byte* at = tables_.data() + axis.offset;
  return {.first = reinterpret_cast<const std::uint32_t*>(at),
          .count = reinterpret_cast<const std::uint32_t*>(at + layout.count),
          .weights = reinterpret_cast<const std::int16_t*>(at + layout.weights),
          .stride = static_cast<int>(axis.count_max),
          .precision = axis.precision};
}

void CudaPicturePatcher::send_pixels(const ImageView& picture) {
  const std::size_t row_bytes = kChannels * picture.size.width;
  const std::size_t rows_of_a_piece = std::max<std::size_t>(1, kPieceBytes / row_bytes);
  for (std::size_t first = 0; first < picture.size.height; first += rows_of_a_piece) {
    const std::size_t rows = std::min(rows_of_a_piece, picture.size.height - first);
    std::byte* staged = staged_.data() + first * row_bytes;
    for (std::size_t row = 0; row < rows; ++row) {
      std::memcpy(staged + row * row_bytes, picture.pixels + (first + row) * picture.row_stride,
                  row_bytes);
    }
    kernels::check_cuda(cudaMemcpyAsync(pixels_.data() + first * row_bytes, staged,
                                        rows * row_bytes, cudaMemcpyHostToDevice, stream_),
                        "Sending a picture to be scaled");
  }
}

void CudaPicturePatcher::wait() {
  kernels::check_cuda(cudaEventRecord(done_, stream_), "Recording an event");
  kernels::check_cuda(cudaEventSynchronize(done_), "Scaling a picture");
}

std::size_t CudaPicturePatcher::device_bytes() const {
  return tables_.bytes() + pixels_.bytes() + narrow_.bytes() + patches_.bytes();
}

}  // namespace captiond
