// Prefill attention over fp8 pages. A block takes some rows and all query heads of a KV head: the
// lines of its tile are (row, head) pairs. The bulk engine copies whole pages into rings of keys
// and values, and the tensor cores multiply e4m3 as it lies there. A query, and a weight of the
// softmax, is the sum of two e4m3 numbers and so two products, which together take the time of one
// in bf16: only keys and values are rounded to fp8. Tiles of keys begin at multiples of the tile,
// whatever the rows are, so that a row's sums are made of the same parts with any neighbours.
//
// Two warpgroups attend. Head dim 256: each has 64 lines; the scores of the next tile are made
// while the weights of this one meet the values. Head dim 512: the sums of 64 lines fill the
// registers of both, so each has half of the keys in the first product and half of the dims in the
// second; weights are exchanged through shared memory. A third one copies, and hands its registers
// over.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/fp8_values.cuh"
#include "model/kernels/page_ring.cuh"
#include "model/kernels/prefill_fp8.h"
#include "model/kernels/prefill_softmax.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_values.cuh"
#include "model/kernels/shared_address.cuh"
#include "model/kernels/warpgroup_products.cuh"
#include "model/kernels/warpgroup_tiles.cuh"

namespace captiond::kernels {
namespace {

constexpr int kAttending = 256;
constexpr int kThreads = kAttending + 128;  // and a warpgroup of which one warp copies
// Registers of a thread that copies and of one that attends: together those of three times 168.
constexpr int kCopyRegisters = 24;
constexpr int kAttendRegisters = 240;
constexpr int kPage = kKvPagePositions;
constexpr int kTilePages = 4;
constexpr int kTileKeys = kTilePages * kPage;
constexpr int kLinesOfGroup = 64;
constexpr unsigned kPieces = kLinesOfGroup * 16U;  // bytes of one 16-byte piece of every line
constexpr float kWeightScale = 256.0F;             // of weights, which are at most 1

template <int kDim>
struct Shape {
  static constexpr bool kShared = kDim == 512;  // both warpgroups have the same lines
  static constexpr int kGroups = kShared ? 1 : 2;
  static constexpr int kLines = kGroups * kLinesOfGroup;  // of the block
  static constexpr int kKeysOfGroup = kShared ? kTileKeys / 2 : kTileKeys;
  static constexpr int kStages = kShared ? 2 : 4;
  static constexpr unsigned kHalf = kPage * kDim;  // bytes of a page's keys or values
};

template <int kDim>
struct Shared {
  alignas(128) unsigned char query[Shape<kDim>::kGroups][2][kLinesOfGroup * kDim];  // main, rest
  unsigned char keys[Shape<kDim>::kStages][kTileKeys * kDim];
  unsigned char values[Shape<kDim>::kStages][kTileKeys * kDim];
  // Between warpgroups that have the same lines.
  unsigned char weights[2][Shape<kDim>::kShared ? kTilePages * kPieces : 16];  // main, rest
  float most[2][kLinesOfGroup];
  float total[2][kLinesOfGroup];
  std::uint64_t keys_there[Shape<kDim>::kStages];
  std::uint64_t keys_taken[Shape<kDim>::kStages];
  std::uint64_t values_landed[Shape<kDim>::kStages];  // to be cleaned first
  std::uint64_t values_there[Shape<kDim>::kStages];
  std::uint64_t values_taken[Shape<kDim>::kStages];
};

__device__ __forceinline__ void meet() {  // of the warps that attend
  asm volatile("bar.sync 1, %0;" ::"n"(kAttending) : "memory");
}

// What a block has to do.
struct Work {
  std::size_t first_row;
  int rows;
  int kv_head;
  int begin;  // keys that any row sees
  int end;

  __device__ int first_tile() const { return begin / kTileKeys * kTileKeys; }
};

// The warp that copies.
template <int kDim>
class Copying {
 public:
  using Of = Shape<kDim>;

  __device__ Copying(const Attention& attention, Shared<kDim>& shared, const Work& work)
      : shared_(shared),
        work_(work),
        lane_(static_cast<int>(threadIdx.x) % 32),
        page_bytes_(attention.kv.page_bytes()),
        keys_(static_cast<const unsigned char*>(attention.kv.base) +
              static_cast<unsigned>(work.kv_head) * 2U * Of::kHalf),
        pages_(attention.pages + attention.rows[work.first_row].page_begin) {}

  __device__ void run() {
    int id = id_of(work_.first_tile());
    for (int tile = work_.first_tile(); tile < work_.end; tile += kTileKeys) {
      const int next_id = id_of(tile + kTileKeys);
      if (round_ >= Of::kStages)
        wait_at(shared_address(&shared_.keys_taken[place_.stage]), place_.parity ^ 1U);
      fetch(shared_.keys[place_.stage], 0, tile, id, shared_.keys_there[place_.stage]);
      if (round_ >= Of::kStages) {
        wait_at(shared_address(&shared_.values_taken[place_.stage]), place_.parity ^ 1U);
      }
      if (tile >= work_.begin && tile + kTileKeys <= work_.end) {
        fetch(shared_.values[place_.stage], 1, tile, id, shared_.values_there[place_.stage]);
      } else {
        fetch_edge(tile, id);
      }
      id = next_id;
      place_.next();
      ++round_;
    }
  }

 private:
  // A lane has the id of page lane % kTilePages of the tile, -1 where nobody sees any of it.
  __device__ int id_of(int tile) const {
    const int key = tile + lane_ % kTilePages * kPage;
    return key < work_.end && key + kPage > work_.begin ? pages_[key / kPage] : -1;
  }

  __device__ void fetch(unsigned char* to, unsigned half, int tile, int id,
                        std::uint64_t& barrier) const {
    const unsigned valid = __ballot_sync(0xffffffffU, lane_ < kTilePages && id >= 0);
    if (lane_ == 0) {
      arrive_expecting(shared_address(&barrier), static_cast<unsigned>(__popc(valid)) * Of::kHalf);
    }
    __syncwarp();
    if (lane_ < kTilePages && id >= 0) {
      fp8::fetch(shared_address(to + static_cast<unsigned>(lane_) * Of::kHalf),
                 keys_ + static_cast<std::size_t>(id) * page_bytes_ + half * Of::kHalf, Of::kHalf,
                 shared_address(&barrier));
    }
  }

  // Values that nobody sees become zero. The first and the last tile wait for it.
  __device__ void fetch_edge(int tile, int id) {
    unsigned char* to = shared_.values[place_.stage];
    fetch(to, 1, tile, id, shared_.values_landed[place_.stage]);
    // This barrier has a phase for each edge of this stage.
    wait_at(shared_address(&shared_.values_landed[place_.stage]), landed_ >> place_.stage & 1U);
    landed_ ^= 1U << place_.stage;
    for (int page = 0; page < kTilePages; ++page) {
      const int first = tile + page * kPage;
      if (first >= work_.begin && first + kPage <= work_.end) continue;
      fp8::clear_values<kDim>(to + static_cast<unsigned>(page) * Of::kHalf, first, work_.begin,
                              work_.end, lane_, 32);
    }
    show_to_products();
    __syncwarp();
    if (lane_ == 0) arrive(shared_address(&shared_.values_there[place_.stage]));
  }

  Shared<kDim>& shared_;
  const Work work_;
  const int lane_;
  const std::size_t page_bytes_;
  const unsigned char* const keys_;  // of the KV head in page 0
  const int* const pages_;
  RingPlace<Of::kStages> place_;
  int round_ = 0;
  unsigned landed_ = 0;  // parities by stage
};

// A warpgroup that attends.
template <int kDim>
class Attending {
 public:
  using Of = Shape<kDim>;

  __device__ Attending(const Attention& attention, Shared<kDim>& shared, const Work& work)
      : attention_(attention),
        shared_(shared),
        work_(work),
        sharing_(attention.heads / attention.kv.kv_heads),
        unit_(1.0F / (attention.kv.query_scale * attention.kv.key_scale)),
        lane_(static_cast<int>(threadIdx.x) % 32),
        warp_(static_cast<int>(threadIdx.x) / 32 % 4),
        group_(static_cast<int>(threadIdx.x) / 128),
        softmax_(attention.rows + work.first_row, work.rows, sharing_, {line(0), line(1)}) {
    load_query();
  }

  __device__ __forceinline__ void run() {
    if constexpr (Of::kShared) {
      run_together();
    } else {
      run_apart();
    }
  }

  __device__ __forceinline__ void store() {
    float totals[2] = {softmax_.total(0), softmax_.total(1)};
    if constexpr (Of::kShared) {
      // Each warpgroup has summed the weights of its own keys.
      for (int i = 0; i < 2; ++i) shared_.total[group_][line(i)] = totals[i];
      meet();
      for (int i = 0; i < 2; ++i) totals[i] = shared_.total[0][line(i)] + shared_.total[1][line(i)];
    }
    for (int i = 0; i < 2; ++i) {
      if (line(i) / sharing_ >= work_.rows) continue;
      const float share = share_of(totals[i]) / (kWeightScale * kFp8ValueScale);
      __nv_bfloat16* out =
          attention_.out + at(line(i)) + (Of::kShared ? group_ * 256 : 0) + lane_ % 4 * 2;
#pragma unroll
      for (int n = 0; n < 32; ++n) {
        *reinterpret_cast<unsigned*>(out + n * 8) =
            packed(sum_[n][2 * i] * share, sum_[n][2 * i + 1] * share);
      }
    }
  }

 private:
  static constexpr int kParts = Of::kKeysOfGroup / 8;
  using Scores = float[kParts][4];
  // Weights as the left side of products: by two pages of keys.
  struct Weights {
    unsigned main[kParts / 4][4];
    unsigned rest[kParts / 4][4];
  };

  // Each warpgroup its own lines: the next scores and this product with the values run at once.
  __device__ __forceinline__ void run_apart() {
    const auto alone = [](float(&)[2]) {};
    const int first = work_.first_tile();
    Scores scores;
    Weights weights;
    float rescale[2];
    score(scores);
    commit_products();
    wait_for_products<0>();
    settle_scores(scores);
    softmax_.weigh(scores, first, first, unit_, rescale, alone);
    pack(weights, scores);
    for (int next = first + kTileKeys; next < work_.end; next += kTileKeys) {
      score(scores);
      commit_products();
      add_values(weights);
      commit_products();
      wait_for_products<1>();
      settle_scores(scores);
      softmax_.weigh(scores, next, next, unit_, rescale, alone);
      wait_for_products<0>();
      settle_sums();
      prefill::scale_sums(sum_, rescale);
      pack(weights, scores);
    }
    add_values(weights);
    commit_products();
    wait_for_products<0>();
    settle_sums();
  }

  // Both warpgroups the same lines.
  __device__ __forceinline__ void run_together() {
    const auto join = [&](float(&most)[2]) {
      if (lane_ % 4 == 0) {
        for (int i = 0; i < 2; ++i) shared_.most[group_][line(i)] = most[i];
      }
      meet();
      for (int i = 0; i < 2; ++i) most[i] = fmaxf(most[i], shared_.most[1 - group_][line(i)]);
    };
    for (int tile = work_.first_tile(); tile < work_.end; tile += kTileKeys) {
      Scores scores;
      score(scores);
      commit_products();
      wait_for_products<0>();
      settle_scores(scores);
      float rescale[2];
      softmax_.weigh(scores, tile, tile + group_ * Of::kKeysOfGroup, unit_, rescale, join);
      prefill::scale_sums(sum_, rescale);
      Weights weights;
      pack(weights, scores);
      share(weights);
      show_to_products();
      meet();
      add_shared_values();
      commit_products();
      wait_for_products<0>();
      settle_sums();
    }
  }

  // A line of the block's tile of queries.
  __device__ int line(int half) const {
    return (Of::kShared ? 0 : group_ * kLinesOfGroup) + warp_ * 16 + half * 8 + lane_ / 4;
  }

  // Where query and out of a line begin.
  __device__ std::size_t at(int l) const {
    const std::size_t row = work_.first_row + static_cast<std::size_t>(l / sharing_);
    return (row * attention_.heads + work_.kv_head * sharing_ + l % sharing_) * kDim;
  }

  __device__ void load_query() {
    const float scale = attention_.kv.query_scale;
    for (int i = static_cast<int>(threadIdx.x); i < Of::kLines * kDim / kLane; i += kAttending) {
      const int l = i % Of::kLines;
      const int dim = i / Of::kLines * kLane;
      float x[kLane] = {};
      if (l / sharing_ < work_.rows) load_values(attention_.query + at(l) + dim, x);
      uint2 main;
      uint2 rest;
      auto* mains = reinterpret_cast<unsigned short*>(&main);
      auto* rests = reinterpret_cast<unsigned short*>(&rest);
#pragma unroll
      for (int pair = 0; pair < kLane / 2; ++pair) {
        const fp8::Halves two = fp8::halves<1>(x[2 * pair] * scale, x[2 * pair + 1] * scale);
        mains[pair] = two.main;
        rests[pair] = two.rest;
      }
      auto& query = shared_.query[l / kLinesOfGroup];
      const unsigned place = static_cast<unsigned>(dim / 16) * kPieces +
                             static_cast<unsigned>(l % kLinesOfGroup * 16 + dim % 16);
      *reinterpret_cast<uint2*>(&query[0][place]) = main;
      *reinterpret_cast<uint2*>(&query[1][place]) = rest;
    }
    show_to_products();
    meet();
  }

  // Begins the products of the next tile's keys.
  __device__ __forceinline__ void score(Scores& scores) {
    wait_at(shared_address(&shared_.keys_there[keys_.stage]), keys_.parity);
    begin_products();
    const unsigned query = shared_address(shared_.query[Of::kShared ? 0 : group_]);
    const unsigned keys = shared_address(shared_.keys[keys_.stage]) +
                          (Of::kShared ? static_cast<unsigned>(group_) * 32U * kDim : 0U);
#pragma unroll
    for (unsigned step = 0; step < kDim / 32; ++step) {
      const std::uint64_t b = fp8::operand(keys + step * 256, 128, 8 * kDim);
#pragma unroll
      for (unsigned part = 0; part < 2; ++part) {
        multiply(
            E4m3Products{}, scores,
            fp8::operand(query + part * kLinesOfGroup * kDim + step * 2 * kPieces, kPieces, 128), b,
            step > 0 || part > 0);
      }
    }
  }
  // The scores are there, so the keys are free.
  __device__ __forceinline__ void settle_scores(Scores& scores) {
    prefill::settle(scores);
    if (lane_ == 0) arrive(shared_address(&shared_.keys_taken[keys_.stage]));
    keys_.next();
  }

  // By way of half precision, which has more digits than both halves together and is converted two
  // numbers at a time.
  static __device__ __forceinline__ fp8::Halves of_weights(float low, float high) {
    const __half2 both = __floats2half2_rn(low * kWeightScale, high * kWeightScale);
    const unsigned short main = __nv_cvt_halfraw2_to_fp8x2(both, __NV_SATFINITE, __NV_E4M3);
    const __half2 back = __half2(__nv_cvt_fp8x2_to_halfraw2(main, __NV_E4M3));
    return {main, __nv_cvt_halfraw2_to_fp8x2(__hsub2(both, back), __NV_SATFINITE, __NV_E4M3)};
  }

  // A page's weights become the sixteen of it that a lane's lines want side by side.
  static __device__ __forceinline__ void pack(Weights& weights, const Scores& scores) {
#pragma unroll
    for (int n = 0; n < kParts; n += 2) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const fp8::Halves low = of_weights(scores[n][2 * i], scores[n][2 * i + 1]);
        const fp8::Halves high = of_weights(scores[n + 1][2 * i], scores[n + 1][2 * i + 1]);
        weights.main[n / 4][n % 4 + i] = low.main | static_cast<unsigned>(high.main) << 16;
        weights.rest[n / 4][n % 4 + i] = low.rest | static_cast<unsigned>(high.rest) << 16;
      }
    }
  }

  __device__ __forceinline__ void share(const Weights& weights) const {
#pragma unroll
    for (int page = 0; page < kParts / 2; ++page) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const unsigned place = static_cast<unsigned>(group_ * kParts / 2 + page) * kPieces +
                               static_cast<unsigned>(line(i) * 16 + lane_ % 4 * 4);
        const int which = page % 2 * 2 + i;
        *reinterpret_cast<unsigned*>(&shared_.weights[0][place]) = weights.main[page / 2][which];
        *reinterpret_cast<unsigned*>(&shared_.weights[1][place]) = weights.rest[page / 2][which];
      }
    }
  }

  __device__ __forceinline__ void add_values(const Weights& weights) {
    wait_at(shared_address(&shared_.values_there[values_.stage]), values_.parity);
    begin_products();
    const unsigned values = shared_address(shared_.values[values_.stage]);
#pragma unroll
    for (unsigned two = 0; two < kTilePages / 2; ++two) {
      const std::uint64_t b = fp8::operand(values + two * 2 * Of::kHalf, Of::kHalf, 128);
      multiply(E4m3Products{}, sum_, weights.main[two], b, true);
      multiply(E4m3Products{}, sum_, weights.rest[two], b, true);
    }
  }

  __device__ __forceinline__ void add_shared_values() {
    wait_at(shared_address(&shared_.values_there[values_.stage]), values_.parity);
    begin_products();
    const unsigned values = shared_address(shared_.values[values_.stage]) +
                            static_cast<unsigned>(group_) * 256U * kPage;
#pragma unroll
    for (unsigned two = 0; two < kTilePages / 2; ++two) {
      const std::uint64_t b = fp8::operand(values + two * 2 * Of::kHalf, Of::kHalf, 128);
#pragma unroll
      for (unsigned part = 0; part < 2; ++part) {
        multiply(
            E4m3Products{}, sum_,
            fp8::operand(shared_address(shared_.weights[part]) + two * 2 * kPieces, kPieces, 128),
            b, true);
      }
    }
  }
  // The sums are there, so the values are free.
  __device__ __forceinline__ void settle_sums() {
    prefill::settle(sum_);
    if (lane_ == 0) arrive(shared_address(&shared_.values_taken[values_.stage]));
    values_.next();
  }

  const Attention& attention_;
  Shared<kDim>& shared_;
  const Work& work_;
  const int sharing_;
  const float unit_;
  const int lane_;
  const int warp_;   // of the warpgroup
  const int group_;  // which warpgroup
  prefill::Softmax<kParts, kTileKeys> softmax_;
  RingPlace<Of::kStages> keys_;
  RingPlace<Of::kStages> values_;
  float sum_[32][4] = {};  // of 256 dims
};

template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    attend_prefill_fp8_kernel(const __grid_constant__ Attention attention,
                              const AttentionTile* tiles) {
  using Of = Shape<kDim>;
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim>*>(memory);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Of::kStages; ++stage) {
      begin_barrier(shared_address(&shared.keys_there[stage]), 1);
      begin_barrier(shared_address(&shared.keys_taken[stage]), kAttending / 32);
      begin_barrier(shared_address(&shared.values_landed[stage]), 1);
      begin_barrier(shared_address(&shared.values_there[stage]), 1);
      begin_barrier(shared_address(&shared.values_taken[stage]), kAttending / 32);
    }
    show_barriers();
  }
  const int sharing = attention.heads / attention.kv.kv_heads;
  const int rows_most = Of::kLines / sharing;
  const int parts = (kAttentionTileRows + rows_most - 1) / rows_most;  // of a tile of the caller
  // The latest rows, which see most, go first.
  const int index = static_cast<int>(gridDim.x - 1 - blockIdx.x);
  const AttentionTile tile = tiles[index / parts];
  const int skipped = index % parts * rows_most;
  const int rows = min(rows_most, tile.count - skipped);
  __syncthreads();
  wait_for_previous_kernels();
  if (rows <= 0) return;
  const std::size_t first_row = static_cast<std::size_t>(tile.first_row) + skipped;
  const Work work = {.first_row = first_row,
                     .rows = rows,
                     .kv_head = static_cast<int>(blockIdx.y),
                     .begin = attention.rows[first_row].first_key,
                     .end = attention.rows[first_row + rows - 1].end_key};
  if (threadIdx.x >= kAttending) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCopyRegisters));
    if (threadIdx.x < kAttending + 32) Copying<kDim>(attention, shared, work).run();
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kAttendRegisters));
  Attending<kDim> attending(attention, shared, work);
  attending.run();
  attending.store();
}

template <int kDim>
cudaError_t launch_tiles(const Attention& work, const PrefillTiles& tiles, cudaStream_t stream) {
  const int rows_most = Shape<kDim>::kLines / (work.heads / work.kv.kv_heads);
  const int parts = (kAttentionTileRows + rows_most - 1) / rows_most;
  const dim3 grid(static_cast<unsigned>(tiles.count * parts),
                  static_cast<unsigned>(work.kv.kv_heads));
  return launch(attend_prefill_fp8_kernel<kDim>,
                {.blocks = grid, .threads = kThreads, .shared_bytes = sizeof(Shared<kDim>)}, stream,
                work, tiles.tiles);
}

}  // namespace

cudaError_t attend_prefill_fp8(const Attention& work, const PrefillTiles& tiles,
                               cudaStream_t stream) {
  return work.kv.head_dim == 256 ? launch_tiles<256>(work, tiles, stream)
                                 : launch_tiles<512>(work, tiles, stream);
}

}  // namespace captiond::kernels
