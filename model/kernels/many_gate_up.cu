// Gate and up of many rows: a tile is 64 outputs of gate and the 64 of up that belong to them.

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/many_rows.cuh"

namespace captiond::kernels {
namespace {

// A half warp has every sixteenth row, a lane four products.
struct GateUpTail {
  static constexpr bool kPaired = true;
  static constexpr bool kKeepsSums = false;
  __nv_bfloat16* h;
  TileScales scales;
  int inner;

  template <int kRows>
  __device__ NothingKept begin(const TileTask&) const {
    return {};
  }
  // Of the gate and of the up of a thread's sums; a tile that is split asks for them at its end.
  __device__ float4 outputs_of(int tile, const TilePlace& place, bool split) const {
    const int output = tile * (kTileOut / 2) + place.output;
    if (split || output >= inner) return {};
    return {scales.of_output(output), scales.of_output(inner + output), 0.0F, 0.0F};
  }
  template <int kRows>
  __device__ void take_own(const float (&sum)[kRows / 8][4], const HeldScales& held, int tile,
                           const TilePlace& place, int rows, const NothingKept&) const {
    const int output = tile * (kTileOut / 2) + place.output;
    const float of_gate = held.outputs.x, of_up = held.outputs.y;
    const bool even = place.output % 2 == 0;
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      const int row = i * 8 + place.row, mine = row + (even ? 0 : 1);
      const float2 of_rows = *reinterpret_cast<const float2*>(held.rows + row);
      const __nv_bfloat162 gate =
          __floats2bfloat162_rn(sum[i][0] * of_gate * of_rows.x, sum[i][1] * of_gate * of_rows.y);
      const __nv_bfloat162 up =
          __floats2bfloat162_rn(sum[i][2] * of_up * of_rows.x, sum[i][3] * of_up * of_rows.y);
      const __nv_bfloat162 pair = of_one_row(gelu_products(gate, up), even);
      if (mine < rows && output < inner)
        *reinterpret_cast<__nv_bfloat162*>(h + static_cast<std::size_t>(mine) * inner +
                                           output / 2 * 2) = pair;
    }
  }
  template <int kRows>
  __device__ void take(const TileSums& sums, const HeldScales& held, int tile, int first, int last,
                       NothingKept&) const {
    constexpr int kHalf = kTileOut / 2, kFours = kHalf / 4, kStep = kTakers / kFours, kBatch = 2;
    const int within = static_cast<int>(threadIdx.x) % kFours * 4;
    const int output = tile * kHalf + within;
    if (output >= inner) return;
    const float4 of_gate = scales.of_outputs(output), of_up = scales.of_outputs(inner + output);
    for (int row = first + static_cast<int>(threadIdx.x) / kFours; row < last;
         row += kBatch * kStep) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int at = row + i * kStep;
        if (at < last)
          put(static_cast<std::size_t>(at) * inner + output,
              scaled(sums.four(at, within), of_gate, held.rows[at]),
              scaled(sums.four(at, kHalf + within), of_up, held.rows[at]));
      }
    }
  }
  template <int kRows>
  __device__ void finish(const NothingKept&, int) const {}
  template <int kRows>
  __device__ void after(const NothingKept&, const TileTask&, const TileInput&) const {}

 private:
  __device__ void put(std::size_t place, const float4& gate, const float4& up) const {
    const auto two = [](float a, float b) { return __floats2bfloat162_rn(a, b); };
    *reinterpret_cast<FourBf16*>(h +
                                 place) = {{gelu_products(two(gate.x, gate.y), two(up.x, up.y)),
                                            gelu_products(two(gate.z, gate.w), two(up.z, up.w))}};
  }
};

}  // namespace

cudaError_t gate_up_many(const Matrix& w, const ManyRows& x, __nv_bfloat16* h,
                         cudaStream_t stream) {
  if (h == nullptr || w.out % 2 != 0) return cudaErrorInvalidValue;
  return launch_many(w, x, GateUpTail{h, scales_of(w, x), w.out / 2}, stream);
}

}  // namespace captiond::kernels
