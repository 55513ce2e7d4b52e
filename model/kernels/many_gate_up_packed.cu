// Gate and up of many rows in fp8 with the packing of their products behind it: a block keeps the
// products of its tiles in registers, all blocks tell the largest of each row and wait for each
// other, and each packs what it has. The sizes of a launch are taken from one of two arrays in
// turn, while the other is cleared for the next.

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/grid_arrival.cuh"
#include "model/kernels/many_rows.cuh"
#include "model/kernels/packed_gate_up.h"
#include "model/kernels/row_packing.cuh"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kTilesOfBlock = 2;
constexpr int kProducts = kTileOut / 2;  // of a row in a tile
static_assert(kPackingArrivalBytes == 128 + 2 * kManyRowsMax * sizeof(std::uint32_t));

struct PackedGateUpTail {
  static constexpr bool kPaired = true;
  static constexpr bool kKeepsSums = false;
  PackedRows h;
  unsigned* arrivals;
  TileScales scales;
  int inner;

  // Of the latest two tiles, the last one last: a lane's pair of neighbouring outputs of each of
  // its rows, of which there are two for eight rows among two lanes.
  template <int kRows>
  struct Kept {
    static constexpr int kPairs = (kRows / 8 + 1) / 2 * 2;
    unsigned round = 0;  // in thread 0
    std::uint32_t pair[kTilesOfBlock][kPairs] = {};
  };

  template <int kRows>
  __device__ Kept<kRows> begin(const TileTask&) const {
    Kept<kRows> kept;
    if (threadIdx.x == 0) kept.round = round_of(arrivals);
    return kept;
  }
  __device__ float4 outputs_of(int tile, const TilePlace& place, bool) const {
    const int output = tile * kProducts + place.output;
    return {scales.of_output(output), scales.of_output(inner + output), 0.0F, 0.0F};
  }
  template <int kRows>
  __device__ void take_own(const float (&sum)[kRows / 8][4], const HeldScales& held, int,
                           const TilePlace& place, int, Kept<kRows>& kept) const {
    const float of_gate = held.outputs.x, of_up = held.outputs.y;
    const bool even = place.output % 2 == 0;
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      const float2 of_rows = *reinterpret_cast<const float2*>(held.rows + i * 8 + place.row);
      const __nv_bfloat162 gate =
          __floats2bfloat162_rn(sum[i][0] * of_gate * of_rows.x, sum[i][1] * of_gate * of_rows.y);
      const __nv_bfloat162 up =
          __floats2bfloat162_rn(sum[i][2] * of_up * of_rows.x, sum[i][3] * of_up * of_rows.y);
      const __nv_bfloat162 pair = of_one_row(gelu_products(gate, up), even);
      kept.pair[0][i] = kept.pair[1][i];
      kept.pair[1][i] = *reinterpret_cast<const std::uint32_t*>(&pair);
    }
  }
  // Never: what is split has another kernel.
  template <int kRows>
  __device__ void take(const TileSums&, const HeldScales&, int, int, int, Kept<kRows>&) const {}
  template <int kRows>
  __device__ void finish(const Kept<kRows>&, int) const {}

  template <int kRows>
  __device__ void after(const Kept<kRows>& kept, const TileTask& task,
                        const TileInput& input) const {
    __shared__ std::uint32_t most[kRows];  // then the scales: there is no room for both
    __shared__ unsigned round;
    const int thread = static_cast<int>(threadIdx.x);
    const TilePlace place = TilePlace::of_thread<true>();
    if (thread < kRows) most[thread] = 0;
    if (thread == 0) round = kept.round;
    wait_for_takers();
    find_most<kRows>(kept, place, most);
    wait_for_takers();
    std::uint32_t* const sizes = sizes_of(round != 0);
    if (thread < input.rows) atomicMax(sizes + thread, most[thread]);
    if (blockIdx.x == 0 && thread < kManyRowsMax) sizes_of(round == 0)[thread] = 0;
    wait_for_takers();
    if (thread == 0) {
      arrive_in_grid(arrivals, blockIdx.x == 0, gridDim.x);
      wait_for_grid(arrivals, round);
    }
    wait_for_takers();
    if (thread < input.rows) {
      const float scale = scale_of_row(__ldcg(sizes + thread));
      most[thread] = __float_as_uint(scale);
      if (blockIdx.x == 0) h.scales[thread] = scale;
    }
    wait_for_takers();
    const int last =
        task.first_tile + (input.tiles - 1 - task.first_tile) / task.tile_stride * task.tile_stride;
    pack<kRows>(kept.pair[1], last, place, input.rows, most);
    if (last > task.first_tile)
      pack<kRows>(kept.pair[0], last - task.tile_stride, place, input.rows, most);
  }

 private:
  __device__ std::uint32_t* sizes_of(bool second) const {
    constexpr int kFirst = 128 / sizeof(unsigned);  // behind a line for the counter
    return arrivals + kFirst + (second ? kManyRowsMax : 0);
  }
  template <int kRows>
  __device__ static void find_most(const Kept<kRows>& kept, const TilePlace& place,
                                   std::uint32_t* most) {
    const int mine = place.row + place.output % 2;
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      std::uint32_t halves = __vmaxu2(kept.pair[0][i] & 0x7fff7fffU, kept.pair[1][i] & 0x7fff7fffU);
      halves = __vmaxu2(halves, __shfl_xor_sync(~0U, halves, 8));
      halves = __vmaxu2(halves, __shfl_xor_sync(~0U, halves, 16));
      if (threadIdx.x % 32 < 8)
        atomicMax(most + i * 8 + mine, max(halves << 16, halves & ~0xffffU));
    }
  }
  // Two lanes that have the halves of four outputs of a row share two such rows, so that each
  // packs one.
  template <int kRows>
  __device__ void pack(const std::uint32_t (&pair)[Kept<kRows>::kPairs], int tile,
                       const TilePlace& place, int rows, const std::uint32_t* row_scales) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const bool second = lane / 8 % 2 != 0;
    const int output = tile * kProducts + place.output / 4 * 4;
    auto* const target = static_cast<unsigned char*>(h.values) + output;
#pragma unroll
    for (int i = 0; i < Kept<kRows>::kPairs; i += 2) {
      const std::uint32_t got = __shfl_xor_sync(~0U, second ? pair[i] : pair[i + 1], 8);
      const std::uint32_t mine = second ? pair[i + 1] : pair[i];
      const std::uint32_t low = second ? got : mine, high = second ? mine : got;
      const int row = (i + (second ? 1 : 0)) * 8 + place.row + place.output % 2;
      if (row >= rows) continue;
      const float four[4] = {__uint_as_float(low << 16), __uint_as_float(low & ~0xffffU),
                             __uint_as_float(high << 16), __uint_as_float(high & ~0xffffU)};
      *reinterpret_cast<std::uint32_t*>(target + static_cast<std::size_t>(row) * inner) =
          Divisor(__uint_as_float(row_scales[row])).packed(four);
    }
  }
};

}  // namespace

cudaError_t packs_behind(const Matrix& w, const ManyRows& x, bool& runs) {
  runs = false;
  if (w.format != MatrixFormat::kFp8 || w.out % kTileOut != 0) return cudaSuccess;
  const int tiles = w.out / kTileOut;
  if (x.blocks / tiles > 1 || tiles > kTilesOfBlock * x.blocks) return cudaSuccess;
  return with_tile_rows<kManyRowsMax>(x.rows, [&](auto rows) {
    return fit_tiles<Fp8Tiles, decltype(rows)::value, PackedGateUpTail>(w, x, runs);
  });
}

cudaError_t gate_up_packed_many(const Matrix& w, const ManyRows& x, const PackedRows& h,
                                unsigned* arrivals, cudaStream_t stream) {
  const int tiles = w.out / kTileOut;
  if (h.values == nullptr || h.scales == nullptr || arrivals == nullptr ||
      w.format != MatrixFormat::kFp8 || w.out <= 0 || w.out % kTileOut != 0 ||
      x.blocks / tiles > 1 || tiles > kTilesOfBlock * x.blocks || w.scales == nullptr ||
      w.values == nullptr || x.x == nullptr || x.scales == nullptr || x.maps == nullptr ||
      x.rows < 1 || x.rows > kManyRowsMax || w.in <= 0 || w.in % 8 != 0)
    return cudaErrorInvalidValue;
  return launch_rows<Fp8Tiles>(w, x, PackedGateUpTail{h, arrivals, scales_of(w, x), w.out / 2},
                               stream);
}

}  // namespace captiond::kernels
