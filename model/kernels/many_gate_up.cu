// Gate and up of many rows: a tile is 64 outputs of gate and the 64 of up that belong to them.

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/many_rows.cuh"

namespace captiond::kernels {
namespace {

struct alignas(8) FourBf16 {
  __nv_bfloat16 value[4];
};

// A half warp has every sixteenth row, a lane four products.
struct GateUpTail {
  static constexpr bool kPaired = true;
  static constexpr bool kKeepsSums = false;
  __nv_bfloat16* h;
  TileScales scales;
  int inner;

  template <int kRows>
  __device__ NothingKept nothing() const {
    return {};
  }
  template <int kRows>
  __device__ void take_own(const float (&sum)[kRows / 8][4], int tile, const TilePlace& place,
                           int rows) const {
    const int output = tile * (kTileOut / 2) + place.output;
    const float of_gate = output < inner ? scales.of_output(output) : 0.0F;
    const float of_up = output < inner ? scales.of_output(inner + output) : 0.0F;
    const bool even = place.output % 2 == 0;
    const auto product = [&](float gate, float up, float scale) {
      return gelu_product(__float2bfloat16(gate * of_gate * scale),
                          __float2bfloat16(up * of_up * scale));
    };
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      const int row = i * 8 + place.row, mine = row + (even ? 0 : 1);
      const float first = row < rows ? scales.of_row(row) : 0.0F;
      const float second = row + 1 < rows ? scales.of_row(row + 1) : 0.0F;
      const __nv_bfloat162 pair = of_one_row(product(sum[i][0], sum[i][2], first),
                                             product(sum[i][1], sum[i][3], second), even);
      if (mine < rows && output < inner)
        *reinterpret_cast<__nv_bfloat162*>(h + static_cast<std::size_t>(mine) * inner +
                                           output / 2 * 2) = pair;
    }
  }
  template <int kRows>
  __device__ void take(const TileSums& sums, int tile, int first, int last, NothingKept&) const {
    constexpr int kHalf = kTileOut / 2, kFours = kHalf / 4, kStep = kTakers / kFours, kBatch = 2;
    const int within = static_cast<int>(threadIdx.x) % kFours * 4;
    const int output = tile * kHalf + within;
    if (output >= inner) return;
    const float4 of_gate = scales.of_outputs(output), of_up = scales.of_outputs(inner + output);
    for (int row = first + static_cast<int>(threadIdx.x) / kFours; row < last;
         row += kBatch * kStep) {
      float4 gate[kBatch], up[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int at = row + i * kStep;
        if (at >= last) continue;
        const float scale = scales.of_row(at);
        gate[i] = scaled(sums.four(at, within), of_gate, scale);
        up[i] = scaled(sums.four(at, kHalf + within), of_up, scale);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i)
        if (row + i * kStep < last)
          put(static_cast<std::size_t>(row + i * kStep) * inner + output, gate[i], up[i]);
    }
  }
  template <int kRows>
  __device__ void finish(const NothingKept&, int) const {}

 private:
  __device__ void put(std::size_t place, const float4& gate, const float4& up) const {
    const auto product = [](float a, float b) {
      return gelu_product(__float2bfloat16(a), __float2bfloat16(b));
    };
    *reinterpret_cast<FourBf16*>(h + place) = {{product(gate.x, up.x), product(gate.y, up.y),
                                                product(gate.z, up.z), product(gate.w, up.w)}};
  }
};

}  // namespace

cudaError_t gate_up_many(const Matrix& w, const ManyRows& x, __nv_bfloat16* h,
                         cudaStream_t stream) {
  if (h == nullptr || w.out % 2 != 0) return cudaErrorInvalidValue;
  return launch_many(w, x, GateUpTail{h, scales_of(w, x), w.out / 2}, stream);
}

}  // namespace captiond::kernels
