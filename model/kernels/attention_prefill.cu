// Attention of many rows of one sequence on tensor cores. A block takes some rows and all query
// heads of a KV head: the lines of its tile are (row, head) pairs, so that keys and values are read
// once for the heads that share them. It walks over tiles of keys that begin at multiples of the
// tile, whatever the rows are, so that a row's sums are made of the same parts with any neighbours.
//
// A block is two warpgroups. Head dim 256: each has 64 lines; the scores of the next tile are made
// while the weights of this one meet the values, and softmax runs under that product. Head dim 512:
// the sums of 64 lines fill the registers of both, so each has half of the keys in the first
// product and half of the dims in the second; weights are exchanged through shared memory.

#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/prefill_fp8.h"
#include "model/kernels/prefill_softmax.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/warpgroup_products.cuh"
#include "model/kernels/warpgroup_tiles.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTileLines = 64;                  // keys of a tile, lines of a warpgroup's queries
constexpr unsigned kPanel = kTileLines * 128U;  // 64 values of each line, as the products want them
constexpr int kStep = 16;                       // of the sum, in one product

struct InPanels {
  static __device__ unsigned address(unsigned tile, int line, int piece) {
    return tile + static_cast<unsigned>(piece / 8) * kPanel +
           static_cast<unsigned>(line * 128 + (piece % 8 ^ (line & 7)) * 16);
  }
};

template <int kDim>
struct Shape {
  static constexpr bool kShared = kDim == 512;       // both warpgroups have the same lines
  static constexpr int kLines = kShared ? 64 : 128;  // of the block
  static constexpr int kKeysOfGroup = kShared ? 32 : 64;
  static constexpr int kStages = kShared ? 1 : 2;  // of keys and values
};

template <int kDim>
struct Shared {
  alignas(1024) unsigned char query[Shape<kDim>::kLines * kDim * 2];
  unsigned char keys[Shape<kDim>::kStages][kTileLines * kDim * 2];
  unsigned char values[Shape<kDim>::kStages][kTileLines * kDim * 2];
  // Between warpgroups that have the same lines.
  unsigned char weights[Shape<kDim>::kShared ? kPanel : 16];
  float most[2][Shape<kDim>::kShared ? kTileLines : 1];
  float total[2][Shape<kDim>::kShared ? kTileLines : 1];
};

// One block's work. A lane holds parts of two lines: lane / 4 of its warp's 16 and the one 8 below.
template <int kDim>
class Tile {
 public:
  __device__ Tile(const Attention& work, Shared<kDim>& shared, std::size_t first_row, int rows,
                  int kv_head)
      : work_(work),
        shared_(shared),
        first_row_(first_row),
        rows_(rows),
        sharing_(work.heads / work.kv.kv_heads),
        first_head_(kv_head * sharing_),
        lane_(static_cast<int>(threadIdx.x) % 32),
        warp_(static_cast<int>(threadIdx.x) / 32 % 4),
        group_(static_cast<int>(threadIdx.x) / 128),
        softmax_(work.rows + first_row, rows, sharing_, {line(0), line(1)}) {
    copy_query();
  }

  __device__ __forceinline__ void run(const KvSource& keys) {
    if constexpr (Shape<kDim>::kShared) {
      run_together(keys, values_of(keys));
    } else {
      run_apart(keys, values_of(keys));
    }
  }

  __device__ __forceinline__ void store() {
    float totals[2] = {softmax_.total(0), softmax_.total(1)};
    if constexpr (Shape<kDim>::kShared) {
      // Each warpgroup has summed the weights of its own keys.
      for (int i = 0; i < 2; ++i) shared_.total[group_][line(i)] = totals[i];
      __syncthreads();
      for (int i = 0; i < 2; ++i) totals[i] = shared_.total[0][line(i)] + shared_.total[1][line(i)];
    }
    for (int i = 0; i < 2; ++i) {
      const int row = line(i) / sharing_;
      if (row >= rows_) continue;
      const float share = share_of(totals[i]);
      __nv_bfloat16* out =
          work_.out + at(line(i)) + (Shape<kDim>::kShared ? group_ * 256 : 0) + lane_ % 4 * 2;
#pragma unroll
      for (int n = 0; n < 32; ++n) {
        *reinterpret_cast<unsigned*>(out + n * 8) =
            packed(sum_[n][2 * i] * share, sum_[n][2 * i + 1] * share);
      }
    }
  }

 private:
  static constexpr int kParts = Shape<kDim>::kKeysOfGroup / 8;  // of a line's scores: 8 keys each
  using Scores = float[kParts][4];

  // Each warpgroup its own lines: the next scores and this product with the values run at once.
  __device__ __forceinline__ void run_apart(const KvSource& keys, const KvSource& values) {
    const int first = softmax_.all().begin / kTileLines * kTileLines;
    copy(shared_.keys[0], keys, first);
    commit_copies();
    copy(shared_.keys[1], keys, first + kTileLines);
    copy(shared_.values[0], values, first);
    commit_copies();
    wait_for_copies<1>();
    show_to_products();
    __syncthreads();
    Scores scores;
    unsigned weights[kTileLines / kStep][4];
    begin_products();
    score(scores, shared_.keys[0]);
    commit_products();
    wait_for_products<0>();
    prefill::settle(scores);
    float rescale[2];
    weigh(scores, first, rescale);
    pack(weights, scores);
    int stage = 0;
    for (int next = first + kTileLines; next < softmax_.all().end; next += kTileLines) {
      wait_for_copies<0>();
      show_to_products();
      __syncthreads();
      begin_products();
      score(scores, shared_.keys[stage ^ 1]);
      commit_products();
      add_values(weights, shared_.values[stage]);
      commit_products();
      copy(shared_.keys[stage], keys, next + kTileLines);
      copy(shared_.values[stage ^ 1], values, next);
      commit_copies();
      wait_for_products<1>();
      prefill::settle(scores);
      weigh(scores, next, rescale);
      wait_for_products<0>();
      prefill::settle(sum_);
      prefill::scale_sums(sum_, rescale);
      pack(weights, scores);
      stage ^= 1;
    }
    wait_for_copies<0>();
    show_to_products();
    __syncthreads();
    begin_products();
    add_values(weights, shared_.values[stage]);
    commit_products();
    wait_for_products<0>();
    prefill::settle(sum_);
  }

  // Both warpgroups the same lines.
  __device__ __forceinline__ void run_together(const KvSource& keys, const KvSource& values) {
    const int first = softmax_.all().begin / kTileLines * kTileLines;
    copy(shared_.keys[0], keys, first);
    commit_copies();
    copy(shared_.values[0], values, first);
    commit_copies();
    for (int tile = first; tile < softmax_.all().end; tile += kTileLines) {
      wait_for_copies<1>();
      show_to_products();
      __syncthreads();
      Scores scores;
      begin_products();
      score(scores, shared_.keys[0]);
      commit_products();
      wait_for_products<0>();
      prefill::settle(scores);
      float rescale[2];
      weigh(scores, tile, rescale);  // with a barrier: the keys are free behind it
      copy(shared_.keys[0], keys, tile + kTileLines);
      commit_copies();
      prefill::scale_sums(sum_, rescale);
      share_weights(scores);
      wait_for_copies<1>();
      show_to_products();
      __syncthreads();
      begin_products();
      add_values(shared_.values[0]);
      commit_products();
      wait_for_products<0>();
      prefill::settle(sum_);
      __syncthreads();
      copy(shared_.values[0], values, tile + kTileLines);
      commit_copies();
    }
    wait_for_copies<0>();
  }

  // A line of the block's tile of queries.
  __device__ int line(int half) const {
    return (Shape<kDim>::kShared ? 0 : group_ * kTileLines) + warp_ * 16 + half * 8 + lane_ / 4;
  }

  // Where query and out of a line begin.
  __device__ std::size_t at(int l) const {
    return ((first_row_ + l / sharing_) * work_.heads + first_head_ + l % sharing_) * kDim;
  }

  __device__ void copy_query() {
    constexpr int kPieces = kDim / 8;
    for (int i = static_cast<int>(threadIdx.x); i < Shape<kDim>::kLines * kPieces; i += kThreads) {
      const int l = i / kPieces;
      const int piece = i % kPieces;
      const bool valid = l / sharing_ < rows_;
      const unsigned group = shared_address(shared_.query) + l / kTileLines * (kDim / 64 * kPanel);
      copy_async(InPanels::address(group, l % kTileLines, piece),
                 work_.query + (valid ? at(l) : 0) + piece * 8, valid);
    }
  }

  __device__ __forceinline__ void copy(unsigned char* tile, const KvSource& source,
                                       int first) const {
    if (first >= softmax_.all().end) return;
    copy_keys<InPanels, kDim, kTileLines, kWarps, true>(shared_address(tile), source, first,
                                                        softmax_.all().begin, softmax_.all().end);
  }

  __device__ __forceinline__ void score(Scores& scores, const unsigned char* tile) const {
    const unsigned query =
        shared_address(shared_.query) + (Shape<kDim>::kShared ? 0 : group_ * (kDim / 64 * kPanel));
    const unsigned keys = shared_address(tile) + (Shape<kDim>::kShared ? group_ * 32U * 128U : 0);
#pragma unroll
    for (unsigned step = 0; step < kDim / kStep; ++step) {
      const unsigned offset = step / 4 * kPanel + step % 4 * (kStep * 2);
      const std::uint64_t a = operand(query + offset, 0);
      const std::uint64_t b = operand(keys + offset, 0);
      multiply(Bf16Products{}, scores, a, b, step > 0);
    }
  }

  // Scores become weights; `rescale` is what the sums so far have to be multiplied by.
  __device__ __forceinline__ void weigh(Scores& scores, int tile, float (&rescale)[2]) {
    const int first = tile + (Shape<kDim>::kShared ? group_ * Shape<kDim>::kKeysOfGroup : 0);
    softmax_.weigh(scores, tile, first, 1.0F, rescale, [&](float(&most)[2]) {
      if constexpr (Shape<kDim>::kShared) {
        if (lane_ % 4 == 0) {
          for (int i = 0; i < 2; ++i) shared_.most[group_][line(i)] = most[i];
        }
        __syncthreads();
        for (int i = 0; i < 2; ++i) most[i] = fmaxf(most[i], shared_.most[1 - group_][line(i)]);
      }
    });
  }

  // The weights as the left side of products, in registers: steps of 16 keys.
  static __device__ __forceinline__ void pack(unsigned (&weights)[kTileLines / kStep][4],
                                              const float (&scores)[kTileLines / 8][4]) {
#pragma unroll
    for (int step = 0; step < kTileLines / kStep; ++step) {
      const auto& low = scores[2 * step];
      const auto& high = scores[2 * step + 1];
      weights[step][0] = packed(low[0], low[1]);
      weights[step][1] = packed(low[2], low[3]);
      weights[step][2] = packed(high[0], high[1]);
      weights[step][3] = packed(high[2], high[3]);
    }
  }

  // The same in shared memory: a panel of 64 lines and keys.
  __device__ __forceinline__ void share_weights(const Scores& scores) const {
#pragma unroll
    for (int n = 0; n < kParts; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        auto* to =
            shared_.weights + InPanels::address(0, line(i), group_ * kParts + n) + lane_ % 4 * 4;
        *reinterpret_cast<unsigned*>(to) = packed(scores[n][2 * i], scores[n][2 * i + 1]);
      }
    }
  }

  __device__ __forceinline__ void add_values(const unsigned (&weights)[kTileLines / kStep][4],
                                             const unsigned char* tile) {
    const unsigned values = shared_address(tile);
#pragma unroll
    for (unsigned step = 0; step < kTileLines / kStep; ++step) {
      multiply_64x256_across(sum_, weights[step], operand(values + step * (kStep * 128), kPanel),
                             true);
    }
  }

  __device__ __forceinline__ void add_values(const unsigned char* tile) {
    const unsigned weights = shared_address(shared_.weights);
    const unsigned values = shared_address(tile) + group_ * 4 * kPanel;
#pragma unroll
    for (unsigned step = 0; step < kTileLines / kStep; ++step) {
      multiply_64x256_across(sum_, operand(weights + step * (kStep * 2), 0),
                             operand(values + step * (kStep * 128), kPanel), true);
    }
  }

  const Attention& work_;
  Shared<kDim>& shared_;
  const std::size_t first_row_;
  const int rows_;
  const int sharing_;
  const int first_head_;
  const int lane_;
  const int warp_;   // of the warpgroup
  const int group_;  // which warpgroup
  prefill::Softmax<kParts, kTileLines> softmax_;
  float sum_[32][4] = {};  // of 256 dims
};

template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    attend_prefill_kernel(const __grid_constant__ Attention work, const AttentionTile* tiles) {
  extern __shared__ __align__(1024) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim>*>(memory);
  wait_for_previous_kernels();
  const int sharing = work.heads / work.kv.kv_heads;
  const int rows_most = Shape<kDim>::kLines / sharing;
  const int parts = (kAttentionTileRows + rows_most - 1) / rows_most;  // of a tile of the caller
  // The latest rows, which see most, go first.
  const int index = static_cast<int>(gridDim.x - 1 - blockIdx.x);
  const AttentionTile tile = tiles[index / parts];
  const int skipped = index % parts * rows_most;
  const int rows = min(rows_most, tile.count - skipped);
  if (rows <= 0) return;
  const std::size_t first_row = static_cast<std::size_t>(tile.first_row) + skipped;
  const int kv_head = static_cast<int>(blockIdx.y);
  Tile<kDim> block(work, shared, first_row, rows, kv_head);
  block.run(keys_of(work, work.rows[first_row], kv_head));
  block.store();
}

template <int kDim>
cudaError_t launch_tiles(const Attention& work, const PrefillTiles& tiles, cudaStream_t stream) {
  const int rows_most = Shape<kDim>::kLines / (work.heads / work.kv.kv_heads);
  const int parts = (kAttentionTileRows + rows_most - 1) / rows_most;
  const dim3 grid(static_cast<unsigned>(tiles.count * parts),
                  static_cast<unsigned>(work.kv.kv_heads));
  return kernels::launch(
      attend_prefill_kernel<kDim>,
      {.blocks = grid, .threads = kThreads, .shared_bytes = sizeof(Shared<kDim>)}, stream, work,
      tiles.tiles);
}

}  // namespace

bool prefill_attention_supports(int heads, int kv_heads, int head_dim) noexcept {
  if ((head_dim != 256 && head_dim != 512) || kv_heads <= 0 || heads <= 0 ||
      heads % kv_heads != 0) {
    return false;
  }
  const int sharing = heads / kv_heads;
  return sharing <= 16 && (sharing & (sharing - 1)) == 0;
}

cudaError_t attend_prefill(const Attention& work, const PrefillTiles& tiles,
                           cudaStream_t stream) noexcept {
  const bool complete = work.query != nullptr && work.out != nullptr && work.kv.base != nullptr &&
                        work.rows != nullptr && work.pages != nullptr && tiles.tiles != nullptr;
  if (!complete || tiles.count <= 0 ||
      !prefill_attention_supports(work.heads, work.kv.kv_heads, work.kv.head_dim)) {
    return cudaErrorInvalidValue;
  }
  if (work.kv.format == KvFormat::kFp8) return attend_prefill_fp8(work, tiles, stream);
  return work.kv.head_dim == 256 ? launch_tiles<256>(work, tiles, stream)
                                 : launch_tiles<512>(work, tiles, stream);
}

}  // namespace captiond::kernels
