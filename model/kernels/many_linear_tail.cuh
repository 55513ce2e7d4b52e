#pragma once

#include "model/kernels/many_rows.cuh"

// What becomes of the sums of a linear product of many rows.
namespace captiond::kernels {

struct ManyToBf16 {
  static constexpr bool kKeepsSums = false;
  __nv_bfloat16* y;
  __device__ void put(std::size_t place, const float4& sum) const {
    *reinterpret_cast<FourBf16*>(y + place) = {
        {__floats2bfloat162_rn(sum.x, sum.y), __floats2bfloat162_rn(sum.z, sum.w)}};
  }
  __device__ void put_two(std::size_t place, __nv_bfloat162 two) const {
    *reinterpret_cast<__nv_bfloat162*>(y + place) = two;
  }
};

// A warp has every eighth row, a lane four outputs.
template <class Target>
struct ManyLinearTail {
  static constexpr bool kPaired = false;
  static constexpr bool kKeepsSums = Target::kKeepsSums;
  Target target;
  TileScales scales;
  int out;

  template <int kRows>
  __device__ NothingKept begin(const TileTask&) const {
    return {};
  }
  // Of a tile that is split the lane's four outputs, else the two of its sums.
  __device__ float4 outputs_of(int tile, const TilePlace& place, bool split) const {
    const int four = tile * kTileOut + static_cast<int>(threadIdx.x) % 32 * 4;
    if (kKeepsSums || split) return four < out ? scales.of_outputs(four) : float4{};
    const int output = tile * kTileOut + place.output, other = tile * kTileOut + place.other;
    return {output < out ? scales.of_output(output) : 0.0F,
            other < out ? scales.of_output(other) : 0.0F, 0.0F, 0.0F};
  }
  template <int kRows>
  __device__ void take_own(const float (&sum)[kRows / 8][4], const HeldScales& held, int tile,
                           const TilePlace& place, int rows, const NothingKept&) const {
    const int output = tile * kTileOut + place.output, other = tile * kTileOut + place.other;
    const bool even = place.output % 2 == 0;
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      const int row = i * 8 + place.row, mine = row + (even ? 0 : 1);
      const float2 of_rows = *reinterpret_cast<const float2*>(held.rows + row);
      const auto put = [&](int at, float a, float b, float of_output) {
        const __nv_bfloat162 pair = of_one_row(
            __floats2bfloat162_rn(a * of_output * of_rows.x, b * of_output * of_rows.y), even);
        if (mine < rows && at < out)
          target.put_two(static_cast<std::size_t>(mine) * out + at / 2 * 2, pair);
      };
      put(output, sum[i][0], sum[i][1], held.outputs.x);
      put(other, sum[i][2], sum[i][3], held.outputs.y);
    }
  }
  template <int kRows>
  __device__ void take(const TileSums& sums, const HeldScales& held, int tile, int first, int last,
                       NothingKept&) const {
    constexpr int kBatch = 4;  // rows whose sums are on their way at the same time
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int output = tile * kTileOut + lane * 4;
    if (output >= out) return;
    for (int row = first + warp; row < last; row += kBatch * kTakerWarps) {
      float4 sum[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i)
        if (row + i * kTakerWarps < last) sum[i] = sums.four(row + i * kTakerWarps, lane * 4);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int at = row + i * kTakerWarps;
        if (at < last)
          target.put(static_cast<std::size_t>(at) * out + output,
                     scaled(sum[i], held.outputs, held.rows[at]));
      }
    }
  }
  template <int kRows>
  __device__ void finish(const NothingKept&, int) const {}
  template <int kRows>
  __device__ void after(const NothingKept&, const TileTask&, const TileInput&) const {}
};

}  // namespace captiond::kernels
