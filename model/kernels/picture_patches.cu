// Two passes over bytes, as plain as the arithmetic, because the copy of a picture is slower: a
// thread makes one pixel of kRows rows across, then four bytes of a row down. bench_pictures on an
// H200, 3840x2160 to 70 patches: a core copies for 2.0 to 2.8 ms while the bus works, then it waits
// 0.13 to 0.16 ms for the end of the transfer, both passes and the way back.

#include <algorithm>

#include "model/kernels/picture_patches.h"

namespace captiond::kernels {
namespace {

constexpr int kChannels = 3;
constexpr int kSide = 48;
constexpr int kPatchRowBytes = kSide * kChannels;
constexpr int kPatchBytes = kSide * kPatchRowBytes;
constexpr int kThreads = 128;
constexpr int kRows = 4;   // of the picture, that share a thread's weights
constexpr int kBytes = 4;  // side by side, loaded as one word; of one patch, as 4 divides 144
constexpr int kBlocksDownMax = 65535;
constexpr unsigned kPrecisionMax = 22;

__device__ std::uint8_t to_byte(int sum, unsigned precision) {
  return static_cast<std::uint8_t>(min(max(sum >> precision, 0), 255));
}

__global__ void __launch_bounds__(kThreads) narrow_rows_kernel(const PictureScaling work) {
  const int outputs = kSide * work.columns;
  const int x = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (x >= outputs) return;
  const AxisTaps& taps = work.across;
  const std::int16_t* weights = taps.weights + static_cast<std::size_t>(x) * taps.stride;
  const int count = static_cast<int>(taps.count[x]);
  const std::size_t row_bytes = static_cast<std::size_t>(work.width) * kChannels;
  const std::uint8_t* column = work.pixels + static_cast<std::size_t>(taps.first[x]) * kChannels;
  const int half = (1 << taps.precision) >> 1;
  for (int y = static_cast<int>(blockIdx.y) * kRows; y < work.height;
       y += static_cast<int>(gridDim.y) * kRows) {
    int sums[kRows][kChannels];
    const std::uint8_t* row[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      row[r] = column + row_bytes * static_cast<std::size_t>(min(y + r, work.height - 1));
#pragma unroll
      for (int channel = 0; channel < kChannels; ++channel) sums[r][channel] = half;
    }
    for (int tap = 0; tap < count; ++tap) {
      const int weight = weights[tap];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int channel = 0; channel < kChannels; ++channel) {
          sums[r][channel] += weight * row[r][kChannels * tap + channel];
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (y + r >= work.height) break;
      std::uint8_t* out = work.narrow + (static_cast<std::size_t>(y + r) * outputs + x) * kChannels;
#pragma unroll
      for (int channel = 0; channel < kChannels; ++channel) {
        out[channel] = to_byte(sums[r][channel], taps.precision);
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads) lower_columns_kernel(const PictureScaling work) {
  const int row_bytes = kPatchRowBytes * work.columns;
  const int at = (static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x)) * kBytes;
  if (at >= row_bytes) return;
  const AxisTaps& taps = work.down;
  const int half = (1 << taps.precision) >> 1;
  for (int y = static_cast<int>(blockIdx.y); y < kSide * work.rows;
       y += static_cast<int>(gridDim.y)) {
    const std::int16_t* weights = taps.weights + static_cast<std::size_t>(y) * taps.stride;
    const int count = static_cast<int>(taps.count[y]);
    const std::uint8_t* from =
        work.narrow + static_cast<std::size_t>(taps.first[y]) * row_bytes + at;
    int sums[kBytes] = {half, half, half, half};
    for (int tap = 0; tap < count; ++tap) {
      const int weight = weights[tap];
      const uchar4 bytes =
          *reinterpret_cast<const uchar4*>(from + static_cast<std::size_t>(tap) * row_bytes);
      sums[0] += weight * bytes.x;
      sums[1] += weight * bytes.y;
      sums[2] += weight * bytes.z;
      sums[3] += weight * bytes.w;
    }
    const std::size_t patch =
        static_cast<std::size_t>(y / kSide) * work.columns + at / kPatchRowBytes;
    const int in_patch = y % kSide * kPatchRowBytes + at % kPatchRowBytes;
    *reinterpret_cast<uchar4*>(work.patches + patch * kPatchBytes + in_patch) =
        make_uchar4(to_byte(sums[0], taps.precision), to_byte(sums[1], taps.precision),
                    to_byte(sums[2], taps.precision), to_byte(sums[3], taps.precision));
  }
}

bool complete(const AxisTaps& taps) {
  return taps.first != nullptr && taps.count != nullptr && taps.weights != nullptr &&
         taps.stride > 0 && taps.precision <= kPrecisionMax;
}

constexpr unsigned blocks(int items, int of_a_block) {
  return static_cast<unsigned>((items + of_a_block - 1) / of_a_block);
}

}  // namespace

cudaError_t scale_to_patches(const PictureScaling& scaling, cudaStream_t stream) noexcept {
  if (scaling.pixels == nullptr || scaling.width < 1 || scaling.height < 1 ||
      !complete(scaling.across) || !complete(scaling.down) || scaling.narrow == nullptr ||
      scaling.patches == nullptr || scaling.columns < 1 || scaling.rows < 1) {
    return cudaErrorInvalidValue;
  }
  constexpr unsigned kDownMax = kBlocksDownMax;
  const dim3 across(blocks(kSide * scaling.columns, kThreads),
                    std::min(blocks(scaling.height, kRows), kDownMax));
  narrow_rows_kernel<<<across, kThreads, 0, stream>>>(scaling);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  const dim3 down(blocks(kPatchRowBytes / kBytes * scaling.columns, kThreads),
                  std::min(static_cast<unsigned>(kSide * scaling.rows), kDownMax));
  lower_columns_kernel<<<down, kThreads, 0, stream>>>(scaling);
  return cudaGetLastError();
}

}  // namespace captiond::kernels
