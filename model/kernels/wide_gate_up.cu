// Gate and up of many rows: eight lines of gate alternate with the eight of up that belong to them,
// so a thread's sums are pairs of both.

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/wide_rows.cuh"

namespace captiond::kernels {
namespace {

struct GateUpTail {
  static constexpr bool kPaired = true;
  static constexpr int kLines = 256;
  static constexpr int kProducts = kLines / 2;
  static constexpr int kPanel = 64;  // products whose lines are 128 bytes
  static constexpr unsigned kPanelBytes = wide::kGroupRows * 128;

  const float* scales;  // [2 * inner]
  int inner;

  CUtensorMap map(const ManyRows& x, __nv_bfloat16* h) const {
    return x.maps->of(h, static_cast<std::size_t>(inner) * sizeof(__nv_bfloat16), x.rows,
                      wide::kGroupRows);
  }
  __device__ float scale_of(int column, int line) const {
    const int product = column * kProducts + line / 16 * 8 + line % 8;
    return product < inner ? scales[line / 8 % 2 * inner + product] : 0.0F;
  }

  __device__ __forceinline__ void leave(const wide::Memory<kLines>& memory, const CUtensorMap& h,
                                        int group, int column, int row,
                                        const float (&sum)[kLines / 8][4],
                                        const float (&of_row)[2]) const {
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    const unsigned line = warp * 16 + lane % 16;
#pragma unroll
    for (unsigned two = 0; two < kProducts / 16; ++two) {  // eights of products
      std::uint32_t four[4];
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned eight = two * 2 + i / 2, half = i % 2;
        float2 gate = {sum[2 * eight][2 * half], sum[2 * eight][2 * half + 1]};
        float2 up = {sum[2 * eight + 1][2 * half], sum[2 * eight + 1][2 * half + 1]};
        const unsigned at = memory.scales(group) + (eight * 16 + lane % 4 * 2) * 4;
        const float2 of_gate = wide::two_at(at), of_up = wide::two_at(at + 32);
        gate = {gate.x * of_gate.x * of_row[half], gate.y * of_gate.y * of_row[half]};
        up = {up.x * of_up.x * of_row[half], up.y * of_up.y * of_row[half]};
        const __nv_bfloat162 pair =
            gelu_products(__floats2bfloat162_rn(gate.x, gate.y), __floats2bfloat162_rn(up.x, up.y));
        four[i] = *reinterpret_cast<const std::uint32_t*>(&pair);
      }
      const unsigned piece = (two * 2 + lane / 16) % 8;
      wide::put_four(
          memory.left(group) + two / 4 * kPanelBytes + line * 128 + ((piece ^ (line & 7U)) << 4),
          four);
    }
    wide::show_to_copies();
    wide::meet_group(group);
    if (threadIdx.x % 128 != 0) return;
    for (int panel = 0; panel < kProducts / kPanel; ++panel)
      wide::store_box(h, (column * kProducts + panel * kPanel) * 2, row,
                      memory.left(group) + static_cast<unsigned>(panel) * kPanelBytes);
    wide::commit_stores();
  }
};

}  // namespace

cudaError_t gate_up_wide(const Matrix& w, const ManyRows& x, __nv_bfloat16* h,
                         cudaStream_t stream) {
  if (w.out % 2 != 0) return cudaErrorInvalidValue;
  return wide::launch_wide(w, x, h, GateUpTail{static_cast<const float*>(w.scales), w.out / 2},
                           stream);
}

}  // namespace captiond::kernels
