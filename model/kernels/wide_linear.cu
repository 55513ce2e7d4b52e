// Linear layers of many rows in e4m3. Two widths of a tile: 240 lines of W where they divide its
// outputs (with 2,048 rows they leave 3 % of the device idle for 3,840 outputs, 256 lines 9 %),
// else 256. It is a matter of the matrix alone, so that a row's bits are, too.

#include "model/kernels/wide_rows.cuh"

namespace captiond::kernels {
namespace {

// Results leave in parts that fit a warpgroup's place.
template <int kTileLines>
struct LinearTail {
  static constexpr bool kPaired = false;
  static constexpr int kLines = kTileLines;
  // 64 outputs in lines of 128 bytes whose pieces are permuted, or 120 in lines of 240, which meet
  // different banks as they are.
  static constexpr bool kPermuted = kLines % 64 == 0;
  static constexpr int kPart = kPermuted ? 64 : kLines / 2;
  static constexpr int kParts = kLines / kPart;
  static constexpr int kPartsHeld = kPermuted ? 2 : 1;  // in a warpgroup's place
  static constexpr unsigned kPitch = kPart * 2;
  static constexpr unsigned kPartBytes = wide::kGroupRows * kPitch;
  static_assert(kPartsHeld * kPartBytes <= wide::kLeftBytes);

  const float* scales;  // [out]
  int out;

  CUtensorMap map(const ManyRows& x, __nv_bfloat16* y) const {
    const std::size_t row_bytes = static_cast<std::size_t>(out) * sizeof(__nv_bfloat16);
    if constexpr (kPermuted) return x.maps->of(y, row_bytes, x.rows, wide::kGroupRows);
    return x.maps->of_plain(y, row_bytes, x.rows, wide::kGroupRows, kPitch);
  }
  __device__ float scale_of(int column, int line) const {
    const int output = column * kLines + line;
    return line < kLines && output < out ? scales[output] : 0.0F;
  }

  __device__ __forceinline__ void leave(const wide::Memory<kLines>& memory, const CUtensorMap& y,
                                        int group, int column, int row,
                                        const float (&sum)[kLines / 8][4],
                                        const float (&of_row)[2]) const {
    const bool stores = threadIdx.x % 128 == 0;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const unsigned to =
          memory.left(group) + static_cast<unsigned>(part % kPartsHeld) * kPartBytes;
      if (part >= kPartsHeld) {
        if (stores)
          asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPartsHeld - 1) : "memory");
        wide::meet_group(group);
      }
      put_part(memory, group, to, part, sum, of_row);
      wide::show_to_copies();
      wide::meet_group(group);
      if (stores) {
        wide::store_box(y, (column * kLines + part * kPart) * 2, row, to);
        wide::commit_stores();
      }
    }
  }

 private:
  __device__ __forceinline__ void put_part(const wide::Memory<kLines>& memory, int group,
                                           unsigned to, int part, const float (&sum)[kLines / 8][4],
                                           const float (&of_row)[2]) const {
    constexpr int kEights = kPart / 8;  // of which the last may have no neighbour
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    const unsigned line = warp * 16 + lane % 16;
#pragma unroll
    for (int two = 0; two < kEights; two += 2) {
      std::uint32_t four[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int within = min(two + i / 2, kEights - 1), eight = part * kEights + within;
        const int half = i % 2;
        float2 value = {sum[eight][2 * half], sum[eight][2 * half + 1]};
        const float2 of_output = wide::two_at(
            memory.scales(group) + (static_cast<unsigned>(eight) * 8 + lane % 4 * 2) * 4);
        value = {value.x * of_output.x * of_row[half], value.y * of_output.y * of_row[half]};
        const __nv_bfloat162 pair = __floats2bfloat162_rn(value.x, value.y);
        four[i] = *reinterpret_cast<const std::uint32_t*>(&pair);
      }
      // Without a neighbour the last eight is written twice, with the same numbers.
      const unsigned piece = min(static_cast<unsigned>(two) + lane / 16, kEights - 1U);
      wide::put_four(to + line * kPitch + ((kPermuted ? piece ^ (line & 7U) : piece) << 4), four);
    }
  }
};

constexpr int kWider = 256, kNarrower = 240;

int lines_of_tile(int out) { return out % kNarrower == 0 ? kNarrower : kWider; }

template <int kLines>
cudaError_t launch_lines(const Matrix& w, const ManyRows& x, __nv_bfloat16* y,
                         cudaStream_t stream) {
  return wide::launch_wide(w, x, y, LinearTail<kLines>{static_cast<const float*>(w.scales), w.out},
                           stream);
}

}  // namespace

bool linear_wide_fills(int out, int rows, int blocks) noexcept {
  // At 0.82 (8,704 outputs of 2,048 rows) cuBLASLt was faster, 98 µs beside 111; at 0.97 slower.
  constexpr double kLeast = 0.85;
  const int clusters = blocks / wide::kCluster;
  if (clusters < 1 || out <= 0 || rows <= 0) return false;
  const int lines = lines_of_tile(out);
  const int rounds = wide::parts(wide::tiles_of(rows, out, lines), clusters);
  const double room =
      static_cast<double>(rounds) * lines * wide::kTileRows * wide::kCluster * clusters;
  return static_cast<double>(out) * rows >= kLeast * room;
}

cudaError_t linear_wide(const Matrix& w, const ManyRows& x, __nv_bfloat16* y, cudaStream_t stream) {
  return lines_of_tile(w.out) == kNarrower ? launch_lines<kNarrower>(w, x, y, stream)
                                           : launch_lines<kWider>(w, x, y, stream);
}

}  // namespace captiond::kernels
