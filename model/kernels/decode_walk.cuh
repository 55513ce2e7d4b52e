#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "model/kernels/attention_tile.cuh"

// What one block of decode attention does: it walks over the keys and values of one KV head of one
// row, for all query heads that share it. The copy of the next keys runs under the product with the
// values and the other way round.

namespace captiond::kernels::decode {

inline constexpr int kWarps = 8;
inline constexpr int kThreads = kWarps * 32;
inline constexpr int kHeadsMax = 16;  // that share a KV head: the rows of a tensor-core tile

struct Extent {
  float most[kHeadsMax];
  float total[kHeadsMax];
  float rescale[kHeadsMax];
};

template <int kDim>
struct Shape {
  static constexpr int kKeys = kDim == 256 ? 64 : 32;  // of a tile: 32 KiB
  static constexpr int kLines = kKeys / kWarps;        // of a tile, that a warp copies
  static constexpr int kWeightLine = kKeys + 8;        // keeps ldmatrix free of bank conflicts
  // In the first product a warp has eight keys and 256 dims, in the second all keys and some dims.
  static constexpr int kParts = kDim / 256;
  static constexpr int kDimsOfWarp = kDim / kWarps;
  static constexpr int kTileBytes = kKeys * kDim * 2;
};

template <int kDim>
struct Shared {
  alignas(128) unsigned char keys[Shape<kDim>::kTileBytes];
  unsigned char values[Shape<kDim>::kTileBytes];
  float scores[Shape<kDim>::kParts][kHeadsMax][Shape<kDim>::kKeys];
  __nv_bfloat16 weights[kHeadsMax][Shape<kDim>::kWeightLine];
  Extent extent;
  alignas(16)
      __nv_bfloat16 fresh[2][kDim];  // key and value of a position that is not in its page yet
  bool last;
  alignas(128) unsigned char query[1];  // [heads of the KV head, and a line of zeros where < 16]
};

template <int kDim>
constexpr std::size_t shared_bytes(int sharing) {
  return offsetof(Shared<kDim>, query) +
         static_cast<std::size_t>(std::min(sharing + 1, kHeadsMax)) * kDim * 2;
}

// One block's walk over its keys.
template <int kDim>
class Walk {
 public:
  __device__ Walk(Shared<kDim>& shared, int sharing)
      : shared_(shared),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32),
        sharing_(sharing) {
    for (int i = static_cast<int>(threadIdx.x); i < kHeadsMax * Shape<kDim>::kWeightLine;
         i += kThreads) {
      shared.weights[0][i] = __float2bfloat16(0.0F);
    }
    if (threadIdx.x < kHeadsMax) {
      shared.extent.most[threadIdx.x] = -INFINITY;
      shared.extent.total[threadIdx.x] = 0.0F;
    }
    if (sharing == kHeadsMax) return;
    for (int piece = static_cast<int>(threadIdx.x); piece < kPieces; piece += kThreads) {
      *reinterpret_cast<uint4*>(shared.query + InLines<kDim>::address(0, sharing, piece)) = {};
    }
  }

  // Begins to copy the queries [sharing, kDim].
  __device__ void copy_query(const __nv_bfloat16* query) {
    const unsigned tile = shared_address(shared_.query);
    for (int i = static_cast<int>(threadIdx.x); i < sharing_ * kPieces; i += kThreads) {
      copy_async(InLines<kDim>::address(tile, i / kPieces, i % kPieces), query + i * 8, true);
    }
  }

  // Begins to copy the first tile of positions begin … end - 1. Keys and values are in their pages
  // below `written`; the others, at most one, will be in `fresh`.
  __device__ void start(const KvSource& keys, int begin, int end, int written) {
    keys_ = keys;
    values_ = values_of(keys);
    begin_ = begin;
    end_ = end;
    written_ = written;
    copy(shared_.keys, keys_, begin);
    copy(shared_.values, values_, begin);
  }

  // Over all positions, in splits of `run`; calls leave(split), of 0, 1, …, when the sums of one
  // are complete. They are forgotten then.
  template <typename Leave>
  __device__ void finish(int run, Leave leave) {
    for (int tile = begin_; tile < end_; tile += kKeys) {
      wait_for_copies<1>();
      put_fresh(shared_.keys, 0, tile);
      __syncthreads();
      score();
      __syncthreads();
      copy(shared_.keys, keys_, tile + kKeys);
      weigh(end_ - tile);
      wait_for_copies<1>();
      put_fresh(shared_.values, 1, tile);
      __syncthreads();
      add_values();
      __syncthreads();
      copy(shared_.values, values_, tile + kKeys);
      const int done = tile + kKeys - begin_;
      if (done % run == 0 || tile + kKeys >= end_) {
        leave((done - 1) / run);
        if (tile + kKeys < end_) forget();
      }
    }
  }

  // Gives f every pair of sums: query head of the KV head, first dim, both sums.
  template <typename F>
  __device__ void each_sum(F f) const {
    const int head = lane_ / 4;
#pragma unroll
    for (int i = 0; i < kDimsOfWarp / 8; ++i) {
      const int dim = warp_ * kDimsOfWarp + i * 8 + lane_ % 4 * 2;
      if (head < sharing_) f(head, dim, make_float2(sum_[i][0], sum_[i][1]));
      if (head + 8 < sharing_) f(head + 8, dim, make_float2(sum_[i][2], sum_[i][3]));
    }
  }

 private:
  static constexpr int kKeys = Shape<kDim>::kKeys;
  static constexpr int kPieces = kDim / 8;  // of a line
  static constexpr int kParts = Shape<kDim>::kParts;
  static constexpr int kDimsOfWarp = Shape<kDim>::kDimsOfWarp;

  __device__ void copy(unsigned char* tile, const KvSource& source, int first) {
    if (first < end_) {
      copy_keys<InLines<kDim>, kDim, kKeys, kWarps, false>(shared_address(tile), source, first,
                                                           first, written_);
    }
    commit_copies();
  }

  // The fresh line goes into the tile that begins at `first` if it belongs there, by the threads
  // that have filled its place with zeros.
  __device__ void put_fresh(unsigned char* tile, int which, int first) {
    const int line = written_ - first;
    if (written_ >= end_ || line < 0 || line / Shape<kDim>::kLines != warp_) return;
    for (int piece = lane_; piece < kPieces; piece += 32) {
      *reinterpret_cast<uint4*>(tile + InLines<kDim>::address(0, line, piece)) =
          *reinterpret_cast<const uint4*>(&shared_.fresh[which][piece * 8]);
    }
  }

  __device__ void forget() {
#pragma unroll
    for (auto& sum : sum_) {
#pragma unroll
      for (float& value : sum) value = 0.0F;
    }
    // By the thread that has read them for the split; seen by others behind the next barrier.
    if (threadIdx.x < kHeadsMax) {
      shared_.extent.most[threadIdx.x] = -INFINITY;
      shared_.extent.total[threadIdx.x] = 0.0F;
    }
  }

  // scores[part][h, k] = query[h] · key[k] over the warp's dims and eight keys of the tile.
  __device__ void score() {
    constexpr int kKeyGroups = kWarps / kParts;
    const unsigned query = shared_address(shared_.query);
    const unsigned keys = shared_address(shared_.keys);
    const int head = min(lane_ % 16, sharing_);
    const int first = warp_ % kKeyGroups * 8;
    const int part = warp_ / kKeyGroups;
    float c[2][4] = {};
#pragma unroll
    for (int step = 0; step < 16; step += 2) {
      const int piece = (part * 16 + step) * 2;
      unsigned a[4];
      unsigned b[4];
      load_matrices(b, InLines<kDim>::address(keys, first + lane_ % 8, piece + lane_ / 8));
      load_matrices(a, InLines<kDim>::address(query, head, piece + lane_ / 16));
      multiply_add(c[0], a, b[0], b[1]);
      load_matrices(a, InLines<kDim>::address(query, head, piece + 2 + lane_ / 16));
      multiply_add(c[1], a, b[2], b[3]);
    }
    auto& scores = shared_.scores[part];
    const int key = first + lane_ % 4 * 2;
    *reinterpret_cast<float2*>(&scores[lane_ / 4][key]) =
        make_float2(c[0][0] + c[1][0], c[0][1] + c[1][1]);
    *reinterpret_cast<float2*>(&scores[lane_ / 4 + 8][key]) =
        make_float2(c[0][2] + c[1][2], c[0][3] + c[1][3]);
  }

  // From scores to weights, a warp a query head; only the first `keys` of the tile are keys.
  __device__ void weigh(int keys) {
    Extent& extent = shared_.extent;
    for (int head = warp_; head < sharing_; head += kWarps) {
      float scores[kKeys / 32];
      float most = extent.most[head];
#pragma unroll
      for (int i = 0; i < kKeys / 32; ++i) {
        const int key = i * 32 + lane_;
        float score = shared_.scores[0][head][key];
        if (kParts == 2) score += shared_.scores[kParts - 1][head][key];
        scores[i] = key < keys ? score : -INFINITY;
        most = fmaxf(most, scores[i]);
      }
#pragma unroll
      for (int offset = 16; offset > 0; offset /= 2) {
        most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, offset));
      }
      float total = 0.0F;
#pragma unroll
      for (int i = 0; i < kKeys / 32; ++i) {
        const float weight = weight_of(scores[i], most);
        total += weight;
        shared_.weights[head][i * 32 + lane_] = __float2bfloat16(weight);
      }
#pragma unroll
      for (int offset = 16; offset > 0; offset /= 2) {
        total += __shfl_xor_sync(0xffffffffU, total, offset);
      }
      __syncwarp();
      if (lane_ == 0) {
        extent.rescale[head] = weight_of(extent.most[head], most);
        extent.most[head] = most;
        extent.total[head] = extent.total[head] * extent.rescale[head] + total;
      }
    }
  }

  // sum[h, :] = sum[h, :] * rescale[h] + Σ weights[h, k] * value[k, :] for the warp's dims.
  __device__ void add_values() {
    const unsigned values = shared_address(shared_.values);
    const int head = lane_ / 4;
    const float low = head < sharing_ ? shared_.extent.rescale[head] : 0.0F;
    const float high = head + 8 < sharing_ ? shared_.extent.rescale[head + 8] : 0.0F;
#pragma unroll
    for (auto& sum : sum_) {
      sum[0] *= low;
      sum[1] *= low;
      sum[2] *= high;
      sum[3] *= high;
    }
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      unsigned a[4];
      load_matrices(a, shared_address(&shared_.weights[lane_ % 16][step * 16 + lane_ / 16 * 8]));
#pragma unroll
      for (int i = 0; i < kDimsOfWarp / 8; i += 2) {
        unsigned b[4];
        const int piece = warp_ * kDimsOfWarp / 8 + i + lane_ / 16;
        load_matrices_transposed(b, InLines<kDim>::address(values, step * 16 + lane_ % 16, piece));
        multiply_add(sum_[i], a, b[0], b[1]);
        multiply_add(sum_[i + 1], a, b[2], b[3]);
      }
    }
  }

  Shared<kDim>& shared_;
  const int warp_;
  const int lane_;
  const int sharing_;
  KvSource keys_ = {};
  KvSource values_ = {};
  int begin_ = 0;
  int end_ = 0;
  int written_ = 0;
  float sum_[kDimsOfWarp / 8][4] = {};
};

}  // namespace captiond::kernels::decode
