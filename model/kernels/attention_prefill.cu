// Attention of many rows of one sequence on tensor cores. A block takes some rows and all query
// heads of a KV head: the lines of its tile are (row, head) pairs, so that keys and values are read
// once for the heads that share them. It walks over tiles of keys that begin at multiples of the
// tile, whatever the rows are, so that a row's sums are made of the same parts with any neighbours.
//
// Head dim 256: eight warps of 16 lines, all keys and dims. Head dim 512: the sums of 16 lines
// would fill the registers of a warp twice, so two warps share 16 lines: half of the keys each in
// the first product, half of the dims each in the second, weights exchanged through shared memory.

#include <cmath>
#include <cstddef>

#include "model/kernels/attention.h"
#include "model/kernels/attention_tile.cuh"
#include "model/kernels/programmatic_launch.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kKeys = 64;  // of a tile

template <int kDim>
struct Shape {
  static constexpr int kWarpsWide = kDim == 256 ? 1 : 2;  // that share 16 lines
  static constexpr int kWarpsDeep = kWarps / kWarpsWide;
  static constexpr int kLines = kWarpsDeep * 16;
  static constexpr int kKeysOfWarp = kKeys / kWarpsWide;
  static constexpr int kDimsOfWarp = kDim / kWarpsWide;
  static constexpr int kWeightLine = kKeys + 8;  // keeps ldmatrix free of bank conflicts
};

template <int kDim>
struct Shared {
  alignas(128) unsigned char query[Shape<kDim>::kLines * kDim * 2];
  unsigned char keys[kKeys * kDim * 2];
  unsigned char values[kKeys * kDim * 2];
  // Between the warps that share lines.
  __nv_bfloat16 weights[Shape<kDim>::kWarpsWide == 1 ? 1 : Shape<kDim>::kLines]
                       [Shape<kDim>::kWeightLine];
  float most[Shape<kDim>::kWarpsWide][Shape<kDim>::kLines];
  float total[Shape<kDim>::kWarpsWide][Shape<kDim>::kLines];
};

// The keys that a line, or a whole tile of lines, sees.
struct Run {
  int begin = 0;
  int end = 0;
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
        deep_(static_cast<int>(threadIdx.x) / 32 / kWarpsWide),
        wide_(static_cast<int>(threadIdx.x) / 32 % kWarpsWide) {
    for (int i = 0; i < 2; ++i) {
      const int row = line(i) / sharing_;
      if (row >= rows_) continue;
      const KvRow seen = work.rows[first_row + row];
      run_[i] = {seen.first_key, seen.end_key};
    }
    const KvRow first = work.rows[first_row];
    const KvRow last = work.rows[first_row + rows - 1];
    all_ = {first.first_key, last.end_key};
    common_ = {last.first_key, first.end_key};
    copy_query();
  }

  __device__ void run(const KvSource& keys) {
    const KvSource values = values_of(keys);
    const int first = all_.begin / kKeys * kKeys;
    copy(shared_.keys, keys, first);
    copy(shared_.values, values, first);
    for (int tile = first; tile < all_.end; tile += kKeys) {
      wait_for_copies<1>();
      __syncthreads();
      float scores[kKeysOfWarp / 8][4] = {};
      score(scores);
      __syncthreads();
      copy(shared_.keys, keys, tile + kKeys);
      if (tile < common_.begin || tile + kKeys > common_.end) hide(scores, tile);
      weigh(scores);
      wait_for_copies<1>();
      __syncthreads();
      add_values(scores);
      __syncthreads();
      copy(shared_.values, values, tile + kKeys);
    }
    wait_for_copies<0>();
  }

  __device__ void store() {
    if constexpr (kWarpsWide > 1) {
      // Each warp has summed the weights of its own keys.
      for (int i = 0; i < 2; ++i) shared_.total[wide_][line(i)] = total_[i];
      __syncthreads();
      for (int i = 0; i < 2; ++i) total_[i] = shared_.total[0][line(i)] + shared_.total[1][line(i)];
    }
    for (int i = 0; i < 2; ++i) {
      const int row = line(i) / sharing_;
      if (row >= rows_) continue;
      const float share = share_of(total_[i]);
      __nv_bfloat16* out = work_.out + at(line(i)) + wide_ * kDimsOfWarp + lane_ % 4 * 2;
#pragma unroll
      for (int n = 0; n < kDimsOfWarp / 8; ++n) {
        *reinterpret_cast<unsigned*>(out + n * 8) =
            packed(sum_[n][2 * i] * share, sum_[n][2 * i + 1] * share);
      }
    }
  }

 private:
  static constexpr int kWarpsWide = Shape<kDim>::kWarpsWide;
  static constexpr int kKeysOfWarp = Shape<kDim>::kKeysOfWarp;
  static constexpr int kDimsOfWarp = Shape<kDim>::kDimsOfWarp;

  __device__ int line(int half) const { return deep_ * 16 + half * 8 + lane_ / 4; }

  // Where query and out of a line begin.
  __device__ std::size_t at(int l) const {
    return ((first_row_ + l / sharing_) * work_.heads + first_head_ + l % sharing_) * kDim;
  }

  __device__ void copy_query() {
    const unsigned tile = shared_address(shared_.query);
    for (int i = static_cast<int>(threadIdx.x); i < Shape<kDim>::kLines * (kDim / 8);
         i += kThreads) {
      const int l = i / (kDim / 8);
      const int piece = i % (kDim / 8);
      const bool valid = l / sharing_ < rows_;
      copy_async(InLines<kDim>::address(tile, l, piece),
                 work_.query + (valid ? at(l) : 0) + piece * 8, valid);
    }
  }

  __device__ void copy(unsigned char* tile, const KvSource& source, int first) {
    if (first < all_.end) {
      copy_keys<InLines<kDim>, kDim, kKeys, kWarps, true>(shared_address(tile), source, first,
                                                          all_.begin, all_.end);
    }
    commit_copies();
  }

  __device__ void score(float (&scores)[kKeysOfWarp / 8][4]) const {
    const unsigned query = shared_address(shared_.query);
    const unsigned keys = shared_address(shared_.keys);
    const int key = wide_ * kKeysOfWarp + lane_ / 16 * 8 + lane_ % 8;
#pragma unroll 4
    for (int step = 0; step < kDim / 16; ++step) {
      unsigned a[4];
      load_matrices(a,
                    InLines<kDim>::address(query, deep_ * 16 + lane_ % 16, step * 2 + lane_ / 16));
#pragma unroll
      for (int n = 0; n < kKeysOfWarp / 8; n += 2) {
        unsigned b[4];
        load_matrices(b, InLines<kDim>::address(keys, key + n * 8, step * 2 + lane_ / 8 % 2));
        multiply_add(scores[n], a, b[0], b[1]);
        multiply_add(scores[n + 1], a, b[2], b[3]);
      }
    }
  }

  // What a line does not see becomes -inf.
  __device__ void hide(float (&scores)[kKeysOfWarp / 8][4], int tile) const {
    const int first = tile + wide_ * kKeysOfWarp + lane_ % 4 * 2;
#pragma unroll
    for (int n = 0; n < kKeysOfWarp / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first + n * 8 + i % 2;
        const Run& seen = run_[i / 2];
        if (key < seen.begin || key >= seen.end) scores[n][i] = -INFINITY;
      }
    }
  }

  // Scores become weights; sums and totals so far are rescaled to the new greatest score.
  __device__ void weigh(float (&scores)[kKeysOfWarp / 8][4]) {
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (const auto& score : scores) {
      most[0] = fmaxf(most[0], fmaxf(score[0], score[1]));
      most[1] = fmaxf(most[1], fmaxf(score[2], score[3]));
    }
#pragma unroll
    for (float& value : most) value = quad_max(value);
    if constexpr (kWarpsWide > 1) {
      if (lane_ % 4 == 0) {
        for (int i = 0; i < 2; ++i) shared_.most[wide_][line(i)] = most[i];
      }
      barrier(1 + deep_, kWarpsWide * 32);
      for (int i = 0; i < 2; ++i) most[i] = fmaxf(most[i], shared_.most[1 - wide_][line(i)]);
    }
    float rescale[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      most[i] = fmaxf(most[i], most_[i]);
      rescale[i] = weight_of(most_[i], most[i]);
      most_[i] = most[i];
    }
    float total[2] = {};
#pragma unroll
    for (auto& score : scores) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        score[i] = weight_of(score[i], most[i / 2]);
        total[i / 2] += score[i];
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) total_[i] = total_[i] * rescale[i] + quad_sum(total[i]);
#pragma unroll
    for (auto& sum : sum_) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[i] *= rescale[i / 2];
    }
    if constexpr (kWarpsWide > 1) share_weights(scores);
  }

  __device__ void share_weights(const float (&scores)[kKeysOfWarp / 8][4]) {
    const int first = wide_ * kKeysOfWarp + lane_ % 4 * 2;
#pragma unroll
    for (int n = 0; n < kKeysOfWarp / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        *reinterpret_cast<unsigned*>(&shared_.weights[line(i)][first + n * 8]) =
            packed(scores[n][2 * i], scores[n][2 * i + 1]);
      }
    }
  }

  // The weights of the warp's lines and keys 16 * step … as the left side of a product.
  __device__ void weights_of(unsigned (&a)[4], const float (&scores)[kKeysOfWarp / 8][4],
                             int step) const {
    if constexpr (kWarpsWide == 1) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &scores[2 * step + i / 2][i % 2 * 2];
        a[i] = packed(pair[0], pair[1]);
      }
    } else {
      load_matrices(
          a, shared_address(&shared_.weights[deep_ * 16 + lane_ % 16][step * 16 + lane_ / 16 * 8]));
    }
  }

  __device__ void add_values(const float (&scores)[kKeysOfWarp / 8][4]) {
    const unsigned values = shared_address(shared_.values);
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      unsigned a[4];
      weights_of(a, scores, step);
#pragma unroll
      for (int n = 0; n < kDimsOfWarp / 8; n += 2) {
        unsigned b[4];
        const int piece = wide_ * kDimsOfWarp / 8 + n + lane_ / 16;
        load_matrices_transposed(b, InLines<kDim>::address(values, step * 16 + lane_ % 16, piece));
        multiply_add(sum_[n], a, b[0], b[1]);
        multiply_add(sum_[n + 1], a, b[2], b[3]);
      }
    }
  }

  const Attention& work_;
  Shared<kDim>& shared_;
  const std::size_t first_row_;
  const int rows_;
  const int sharing_;
  const int first_head_;
  const int lane_;
  const int deep_;
  const int wide_;
  Run run_[2];
  Run all_;     // what any line sees
  Run common_;  // what every line sees
  float most_[2] = {-INFINITY, -INFINITY};
  float total_[2] = {};
  float sum_[kDimsOfWarp / 8][4] = {};
};

template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    attend_prefill_kernel(const __grid_constant__ Attention work, const AttentionTile* tiles) {
  extern __shared__ __align__(128) unsigned char memory[];
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
  return work.kv.head_dim == 256 ? launch_tiles<256>(work, tiles, stream)
                                 : launch_tiles<512>(work, tiles, stream);
}

}  // namespace captiond::kernels
