// The greedy choice of many rows: blocks keep the best logit of every row over their tiles, a
// second launch picks among the blocks. The larger logit wins, of equals the lower id.

#include <cmath>
#include <limits>

#include "model/kernels/many_rows.cuh"

namespace captiond::kernels {
namespace {

struct Best {
  float logit;
  int token;
  int finite;

  static __device__ Best none() {
    return {-std::numeric_limits<float>::infinity(), std::numeric_limits<int>::max(), 1};
  }
  __device__ void meet(const Best& other) {
    finite &= other.finite;
    if (other.logit > logit || (other.logit == logit && other.token < token)) {
      logit = other.logit;
      token = other.token;
    }
  }
};

__device__ Best best_of_warp(Best best) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) {
    Best other;
    other.logit = __shfl_xor_sync(~0U, best.logit, apart);
    other.token = __shfl_xor_sync(~0U, best.token, apart);
    other.finite = __shfl_xor_sync(~0U, best.finite, apart);
    best.meet(other);
  }
  return best;
}

// Warp w has the rows w, w + 8, …, each lane four outputs of a tile, of which it keeps the best; a
// lane's tokens ascend from tile to tile.
struct GreedyTail {
  static constexpr bool kPaired = false;
  static constexpr bool kKeepsSums = true;
  Best* blocks;  // [blocks][kHeadRowsMax]
  const std::uint32_t* suppressed;
  TileScales scales;
  float softcap;
  int out;

  template <int kRows>
  struct Kept {
    float logit[kRows / kTakerWarps];
    int token[kRows / kTakerWarps];
    std::uint32_t not_finite = 0;  // a bit a row
  };
  template <int kRows>
  __device__ Kept<kRows> begin(const TileTask&) const {
    Kept<kRows> kept;
#pragma unroll
    for (int i = 0; i < kRows / kTakerWarps; ++i) {
      kept.logit[i] = Best::none().logit;
      kept.token[i] = Best::none().token;
    }
    return kept;
  }
  __device__ float4 outputs_of(int tile, const TilePlace&, bool) const {
    const int output = tile * kTileOut + static_cast<int>(threadIdx.x) % 32 * 4;
    return output < out ? scales.of_outputs(output) : float4{};
  }
  template <int kRows>
  __device__ void take(const TileSums& sums, const HeldScales& held, int tile, int, int last,
                       Kept<kRows>& kept) const {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int output = tile * kTileOut + lane * 4;
    if (output >= out) return;
    const std::uint32_t hidden =
        suppressed == nullptr ? 0U : suppressed[output / 32] >> (output % 32);
#pragma unroll
    for (int i = 0; i < kRows / kTakerWarps; ++i) {
      const int row = warp + i * kTakerWarps;
      if (row >= last) continue;
      const float4 sum = scaled(sums.four(row, lane * 4), held.outputs, held.rows[row]);
      // A softcapped infinity would look finite: ask the sums.
      const bool finite = isfinite(sum.x) && isfinite(sum.y) && isfinite(sum.z) && isfinite(sum.w);
      kept.not_finite |= finite ? 0U : 1U << i;
      see(kept.logit[i], kept.token[i], output, sum.x, hidden);
      see(kept.logit[i], kept.token[i], output + 1, sum.y, hidden >> 1);
      see(kept.logit[i], kept.token[i], output + 2, sum.z, hidden >> 2);
      see(kept.logit[i], kept.token[i], output + 3, sum.w, hidden >> 3);
    }
  }
  template <int kRows>
  __device__ void finish(const Kept<kRows>& kept, int rows) const {
    const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < kRows / kTakerWarps; ++i) {
      const int finite = (kept.not_finite >> i & 1U) == 0 ? 1 : 0;
      const Best best = best_of_warp({kept.logit[i], kept.token[i], finite});
      const int row = warp + i * kTakerWarps;
      if (threadIdx.x % 32 == 0 && row < rows)
        blocks[static_cast<std::size_t>(blockIdx.x) * kHeadRowsMax + row] = best;
    }
  }
  template <int kRows>
  __device__ void after(const Kept<kRows>&, const TileTask&, const TileInput&) const {}

 private:
  __device__ void see(float& best, int& best_token, int token, float sum,
                      std::uint32_t hidden) const {
    const float logit = softcapped(sum, softcap);
    if ((hidden & 1U) != 0 || !(logit > best)) return;
    best = logit;
    best_token = token;
  }
};

// A warp a row.
__global__ void choose_kernel(const Best* blocks, int count, GreedyChoice* choices) {
  let_next_kernel_start();
  wait_for_previous_kernels();
  Best best = Best::none();
  for (int block = static_cast<int>(threadIdx.x); block < count; block += 32)
    best.meet(blocks[static_cast<std::size_t>(block) * kHeadRowsMax + blockIdx.x]);
  best = best_of_warp(best);
  if (threadIdx.x == 0) choices[blockIdx.x] = {best.token, best.finite};
}

}  // namespace

std::size_t greedy_many_scratch_bytes(int blocks) noexcept {
  return sizeof(Best) * kHeadRowsMax * static_cast<std::size_t>(blocks);
}

cudaError_t greedy_many(const Head& head, const ManyRows& x, void* scratch, GreedyChoice* choices,
                        cudaStream_t stream) {
  if (scratch == nullptr || choices == nullptr || !(head.softcap >= 0.0F))
    return cudaErrorInvalidValue;
  const Matrix& w = head.embedding;
  auto* const blocks = static_cast<Best*>(scratch);
  const GreedyTail tail{.blocks = blocks,
                        .suppressed = head.suppressed,
                        .scales = scales_of(w, x),
                        .softcap = head.softcap,
                        .out = w.out};
  const cudaError_t status = launch_many(w, x, tail, stream);
  if (status != cudaSuccess) return status;
  TileInput input;
  input.tiles = (w.out + kTileOut - 1) / kTileOut;
  return launch(choose_kernel, {.blocks = dim3(static_cast<unsigned>(x.rows)), .threads = dim3(32)},
                stream, blocks, grid_of(input, x.blocks), choices);
}

}  // namespace captiond::kernels
