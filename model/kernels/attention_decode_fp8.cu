// Decode attention over fp8 pages: the bulk engine copies whole pages into a ring in shared memory,
// and the tensor cores multiply e4m3 as it lies there. Keys (and the dims of values) are the 64
// lines of a product, query heads its columns. A query, and a weight of the softmax, is two e4m3
// numbers, one column each, which together are what bf16 would be: only keys and values are
// rounded to fp8.
//
// Blocks stay: all splits of all rows and KV heads stand in one line, of which each block takes an
// even part, so that copies go on from one split to the next. A split is a run of whole pages;
// what a row does not see of its first and last one gets no weight.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/kernels/decode_join.cuh"
#include "model/kernels/decode_packing.cuh"
#include "model/kernels/decode_pages.cuh"
#include "model/kernels/fp8_values.cuh"
#include "model/kernels/rotary_head.cuh"
#include "model/kernels/shared_address.cuh"
#include "model/kernels/warpgroup_products.cuh"
#include "model/kernels/warpgroup_tiles.cuh"

namespace captiond::kernels::paged {
namespace {

using decode::kFusedHeads;
using decode::Partial;
using decode::partial_of;

// The two warpgroups that attend: each has the scores of half of a tile's keys, a page a warp, and
// sums half of the dims. A lane has keys (or dims) lane / 4 and 8 more of its warp's 16, and of
// each group of eight columns the two of one head.
template <int kDim, int kColumns>
class Attending {
 public:
  using Of = Shape<kDim, kColumns>;

  __device__ Attending(const Attention& work, Shared<kDim, kColumns>& shared,
                       const Partial& partial)
      : work_(work),
        shared_(shared),
        partial_(partial),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32),
        sharing_(work.heads / work.kv.kv_heads),
        unit_(1.0F / (work.kv.query_scale * work.kv.key_scale)) {
    // Columns without a head stay zero.
    for (int i = static_cast<int>(threadIdx.x); i < kColumns * kDim / 16; i += kAttending) {
      reinterpret_cast<uint4*>(shared.query)[i] = {};
    }
    for (int i = static_cast<int>(threadIdx.x); i < kTilePages * kColumns; i += kAttending) {
      reinterpret_cast<uint4*>(shared.weights)[i] = {};
    }
    meet();
  }

  // `same_query`: the item before was of the same row and KV head.
  __device__ void run(const Item& item, bool same_query) {
    if (!same_query) load_query(item);
    attend(item, -1);
  }

  // The same with queries, and the key and value of the row's own position, from projections.
  // prepare() of the item came before.
  __device__ void run_fresh(const Item& item, const RotateAndStore& rotate) {
    const bool last = item.split + 1 == item.splits;
    make_fresh(item, rotate, last);
    attend(item, last ? item.seen.position : -1);
  }
  __device__ void prepare(const Item& item, const RotateAndStore& rotate) {
    turn_.compute(rotate, item.seen.position);
  }

  // Behind the block's last item, for each of its items: the item's part of the row's join.
  __device__ void meet_all() {
    meet();
    if (threadIdx.x == 0) meet_in_grid(partial_.meetings, blockIdx.x == 0, gridDim.x);
    meet();
  }
  __device__ void join_part(const Item& item) {
    if (item.splits < 2) return;
    const std::size_t row = static_cast<std::size_t>(shared_.listed[item.row]);
    const int of_kv_head = item.kv_head * sharing_;
    const std::size_t first_head = static_cast<std::size_t>(item.row) * work_.heads + of_kv_head;
    __nv_bfloat16* out = work_.out + (row * work_.heads + of_kv_head) * kDim;
    join_heads<kDim>(partial_, first_head, sharing_, item.splits, item.split, item.splits, out);
  }

 private:
  using Head = RotaryHead<kDim / 64, 1>;
  using Scores = float[Of::kGroups][4];
  static constexpr int kParts = kDim / 64 / 2;  // of 64 dims, that a warpgroup sums

  // `fresh`: the position whose key and value are in shared.fresh, or none.
  __device__ void attend(const Item& item, int fresh) {
    forget();
    for (int page = item.begin; page < item.end; page += kTilePages) {
      const int pages = min(kTilePages, item.end - page);
      if (fresh >= page * kPage && fresh < (page + pages) * kPage) {
        put_fresh(fresh - page * kPage);
      }
      Scores scores;
      score(scores);
      float rescale[Of::kGroups];
      weigh(scores, item, page, pages, rescale);
      wait_for_slot(place_);
      hide_values(item.seen, page, pages);
      show_to_products();
      meet();
      scale_sums(rescale);
      add_values();
    }
    leave(item);
  }

  // Of the half that the warpgroup sums.
  __device__ int first_dim() const { return warp_ / 4 * (kDim / 2); }
  static __device__ int column_of(int head) { return head / 4 * 8 + head % 4 * 2; }

  __device__ void load_query(const Item& item) {
    const std::size_t row = static_cast<std::size_t>(shared_.listed[item.row]);
    const __nv_bfloat16* query = work_.query + (row * work_.heads + item.kv_head * sharing_) * kDim;
    constexpr int kRounds = (Of::kHeads * kDim / kLane + kAttending - 1) / kAttending;
    const int pieces = sharing_ * kDim / kLane;
    uint4 raw[kRounds];  // all asked for before the first is used
#pragma unroll
    for (int round = 0; round < kRounds; ++round) {
      const int i = round * kAttending + static_cast<int>(threadIdx.x);
      if (i < pieces) raw[round] = *reinterpret_cast<const uint4*>(query + i * kLane);
    }
#pragma unroll
    for (int round = 0; round < kRounds; ++round) {
      const int i = round * kAttending + static_cast<int>(threadIdx.x);
      if (i >= pieces) break;
      float x[kLane];
      load_values(reinterpret_cast<const __nv_bfloat16*>(&raw[round]), x);
      uint2 main;
      uint2 rest;
      auto* mains = reinterpret_cast<unsigned short*>(&main);
      auto* rests = reinterpret_cast<unsigned short*>(&rest);
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const fp8::Halves two = fp8::halves<kRest>(x[2 * pair] * work_.kv.query_scale,
                                                   x[2 * pair + 1] * work_.kv.query_scale);
        mains[pair] = two.main;
        rests[pair] = two.rest;
      }
      const int column = column_of(i / (kDim / kLane));
      const int dim = i % (kDim / kLane) * kLane;
      *reinterpret_cast<uint2*>(&shared_.query[dim / 16][column][dim % 16]) = main;
      *reinterpret_cast<uint2*>(&shared_.query[dim / 16][column + 1][dim % 16]) = rest;
    }
    show_to_products();
    meet();
  }

  // What rotate_and_store() makes of the item's heads, a warp a head.
  __device__ void make_fresh(const Item& item, const RotateAndStore& rotate, bool with_kv) {
    constexpr int kHalf = kDim / 2;
    const std::size_t row = static_cast<std::size_t>(shared_.listed[item.row]);
    const int kv_heads = rotate.kv.kv_heads;
    const int head_count = rotate.heads + (rotate.value_is_key ? 1 : 2) * kv_heads;
    const __nv_bfloat16* projected = rotate.projected + row * head_count * kDim;
    for (int index = warp_; index < sharing_ + (with_kv ? 2 : 0); index += kAttending / 32) {
      const bool is_query = index < sharing_;
      const bool is_value = index == sharing_ + 1;
      int head = is_query ? item.kv_head * sharing_ + index : rotate.heads + item.kv_head;
      if (is_value && !rotate.value_is_key) head += kv_heads;
      Head values;
      values.load(projected + head * kDim, kHalf);
      Head weight;
      weight.load(is_query ? rotate.query_weight : rotate.key_weight, kHalf);
      const float scale = values.scale(kDim, rotate.eps);
      const Fp8Slot slot(rotate, item.seen, item.kv_head);
      if (is_value) {
        values = normed<false>(values, weight, scale);
        slot.store_value(values);
        store_fp8(values, kHalf, kFp8ValueScale, [&](int dim) { return shared_.fresh[1] + dim; });
        continue;
      }
      values = normed<true>(values, weight, scale);
      turn_.apply(values);
      if (is_query) {
        store_query(values, column_of(index));
        continue;
      }
      slot.store_key(values);
      store_fp8(values, kHalf, rotate.kv.key_scale,
                [&](int dim) { return shared_.fresh[0] + dim; });
    }
    show_to_products();
    meet();
  }

  __device__ void store_query(const Head& head, int column) {
    const auto store_part = [&](const float(&x)[kDim / 64], int first) {
#pragma unroll
      for (int i = 0; i < kDim / 64; i += 2) {
        const fp8::Halves two =
            fp8::halves<kRest>(x[i] * work_.kv.query_scale, x[i + 1] * work_.kv.query_scale);
        const int dim = first + i;
        *reinterpret_cast<unsigned short*>(&shared_.query[dim / 16][column][dim % 16]) = two.main;
        *reinterpret_cast<unsigned short*>(&shared_.query[dim / 16][column + 1][dim % 16]) =
            two.rest;
      }
    };
    store_part(head.low[0], Head::pair(0));
    store_part(head.high[0], Head::pair(0) + kDim / 2);
  }

  // Into the tile, over what its page held.
  __device__ void put_fresh(int key) {
    RingPlace<Of::kSlots> values = place_;
    values.next();
    wait_for_slot(place_);
    wait_for_slot(values);
    const unsigned page = static_cast<unsigned>(key / kPage) * Of::kHalf;
    const int line = key % kPage;
    for (int dim = static_cast<int>(threadIdx.x); dim < kDim; dim += kAttending) {
      shared_.slots[place_.stage][page + fp8_key_offset(line, dim, kDim)] = shared_.fresh[0][dim];
      shared_.slots[values.stage][page + fp8_value_offset(line, dim)] = shared_.fresh[1][dim];
    }
    show_to_products();
    meet();
  }

  __device__ void forget() {
#pragma unroll
    for (auto& part : sum_) {
#pragma unroll
      for (auto& group : part) {
#pragma unroll
        for (float& value : group) value = 0.0F;
      }
    }
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
      most_[g] = -INFINITY;
      total_[g] = 0.0F;
    }
  }

  template <int kGroups>
  static __device__ __forceinline__ void settle(float (&values)[kGroups][4]) {
#pragma unroll
    for (auto& group : values) {
#pragma unroll
      for (float& value : group) asm volatile("" : "+f"(value)::"memory");
    }
  }

  __device__ void wait_for_slot(const RingPlace<Of::kSlots>& place) const {
    wait_at(shared_address(&shared_.there[place.stage]), place.parity);
  }
  // Of keys or values that have been taken.
  __device__ void leave_slot() {
    __syncwarp();
    if (lane_ == 0) arrive(shared_address(&shared_.taken[place_.stage]));
    place_.next();
  }

  __device__ void score(Scores& scores) {
    wait_for_slot(place_);
    const unsigned keys = shared_address(shared_.slots[place_.stage]) +
                          static_cast<unsigned>(warp_ / 4) * 4U * Of::kHalf;
    const unsigned query = shared_address(shared_.query);
    begin_products();
#pragma unroll
    for (unsigned step = 0; step < kDim / 32; ++step) {
      multiply(E4m3Products{}, scores, fp8::operand(keys + step * 256, 128, 8 * kDim),
               fp8::operand(query + step * 2 * kColumns * 16, kColumns * 16, 128), step > 0);
    }
    commit_products();
    wait_for_products<0>();
    settle(scores);
    leave_slot();
  }

  // From scores to weights in shared memory.
  __device__ void weigh(const Scores& scores, const Item& item, int page, int pages,
                        float (&rescale)[Of::kGroups]) {
    const int key = (page + warp_) * kPage + lane_ / 4;
    const bool there = warp_ < pages;
    const bool low = there && key >= item.seen.first_key && key < item.seen.end_key;
    const bool high = there && key + 8 >= item.seen.first_key && key + 8 < item.seen.end_key;
    float score[Of::kGroups][2];
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
      score[g][0] =
          low ? (scores[g][0] + scores[g][1] / static_cast<float>(kRest)) * unit_ : -INFINITY;
      score[g][1] =
          high ? (scores[g][2] + scores[g][3] / static_cast<float>(kRest)) * unit_ : -INFINITY;
      float most = fmaxf(score[g][0], score[g][1]);
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2) {
        most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, offset));
      }
      if (lane_ < 4) shared_.most[warp_][g * 4 + lane_] = most;
    }
    meet();
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
      const int head = g * 4 + lane_ % 4;
      float most = most_[g];
#pragma unroll
      for (int w = 0; w < kWarps; ++w) most = fmaxf(most, shared_.most[w][head]);
      rescale[g] = weight_of(most_[g], most);
      most_[g] = most;
      const float first = weight_of(score[g][0], most);
      const float second = weight_of(score[g][1], most);
      total_[g] = total_[g] * rescale[g] + (first + second);
      if (head < sharing_) put_weights(head, first, second);
    }
  }

  // Of the lane's two keys.
  __device__ void put_weights(int head, float first, float second) const {
    const fp8::Halves two = fp8::halves<kRest>(first * kWeightScale, second * kWeightScale);
    const int place = fp8_place(lane_ / 4);  // 8 keys on: 2 more
    unsigned char* main = shared_.weights[warp_][column_of(head)];
    unsigned char* rest = main + 16;
    main[place] = static_cast<unsigned char>(two.main & 0xffU);
    main[place + 2] = static_cast<unsigned char>(two.main >> 8U);
    rest[place] = static_cast<unsigned char>(two.rest & 0xffU);
    rest[place + 2] = static_cast<unsigned char>(two.rest >> 8U);
  }

  // Values that the row does not see, and pages that are not there, become zero.
  __device__ void hide_values(const KvRow& seen, int page, int pages) {
    const int end = min(seen.end_key, (page + pages) * kPage);
    if (page * kPage >= seen.first_key && (page + kTilePages) * kPage <= end) return;
    for (int p = 0; p < kTilePages; ++p) {
      const int first = (page + p) * kPage;
      if (first >= seen.first_key && first + kPage <= end) continue;
      fp8::clear_values<kDim>(shared_.slots[place_.stage] + p * Of::kHalf, first, seen.first_key,
                              end, static_cast<int>(threadIdx.x), kAttending);
    }
  }

  __device__ void scale_sums(const float (&rescale)[Of::kGroups]) {
    bool same = true;
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) same = same && rescale[g] == 1.0F;
    if (__all_sync(0xffffffffU, same)) return;
#pragma unroll
    for (auto& part : sum_) {
#pragma unroll
      for (int g = 0; g < Of::kGroups; ++g) {
#pragma unroll
        for (float& value : part[g]) value *= rescale[g];
      }
    }
  }

  __device__ void add_values() {
    const unsigned values =
        shared_address(shared_.slots[place_.stage]) + static_cast<unsigned>(first_dim() * kPage);
    const unsigned weights = shared_address(shared_.weights);
    begin_products();
#pragma unroll
    for (unsigned two = 0; two < kTilePages / 2; ++two) {
      const std::uint64_t b = fp8::operand(weights + two * 2 * kColumns * 16, kColumns * 16, 128);
#pragma unroll
      for (unsigned m = 0; m < kParts; ++m) {
        multiply(E4m3Products{}, sum_[m],
                 fp8::operand(values + two * 2 * Of::kHalf + m * 1024, Of::kHalf, 128), b, true);
      }
    }
    commit_products();
    wait_for_products<0>();
#pragma unroll
    for (auto& part : sum_) settle(part);
    leave_slot();
  }

  // At the end of a split: joins it to those before, if the block has had them all, or leaves it
  // single; what is joined goes to `out` behind the last split.
  __device__ __forceinline__ void leave(const Item& item) {
    add_totals();
    if (item.split == 0) splits_.begin();
    const bool ends = item.split + 1 == item.splits;
    const std::size_t row = static_cast<std::size_t>(shared_.listed[item.row]);
    const int of_kv_head = item.kv_head * sharing_;
    const std::size_t first_head = static_cast<std::size_t>(item.row) * work_.heads + of_kv_head;
    __nv_bfloat16* out = work_.out + (row * work_.heads + of_kv_head) * kDim;
    join();
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
      const int head = g * 4 + lane_ % 4;
      if (head >= sharing_) continue;
      if (splits_.from_first && ends) {
        put_out(g, out + head * kDim);
        if (item.splits > 1) say(first_head + head, 0, make_float2(0.0F, kWritten));
      } else if (!splits_.from_first || item.last) {
        put_partial(g, (first_head + head) * partial_.splits + item.split);
        say(first_head + head, item.split, splits_.extent[g]);
      }
    }
    if (splits_.from_first && !ends && item.last && warp_ == 0) {
      for (int i = lane_; i < sharing_ * item.split; i += 32)
        partial_.extent[(first_head + i / item.split) * partial_.splits + i % item.split] =
            make_float2(0.0F, kInLaterSplit);
    }
    if constexpr (Of::kHeads <= kFusedHeads) {
      if (item.splits == 1 || partial_.arrived == nullptr) return;
      unsigned* arrived = partial_.arrived + item.row * work_.kv.kv_heads + item.kv_head;
      if (!arrive_last(arrived, item.splits, shared_.last)) return;
      join_heads<kDim>(partial_, first_head, sharing_, item.splits, 0, 1, out);
    }
  }

  // Of the keys of all warps, into shared memory.
  __device__ __forceinline__ void add_totals() {
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2) {
        total_[g] += __shfl_xor_sync(0xffffffffU, total_[g], offset);
      }
      if (lane_ < 4) shared_.total[warp_][g * 4 + lane_] = total_[g];
    }
    meet();
  }

  __device__ __forceinline__ void join() {
    constexpr float kUnit = 1.0F / (kWeightScale * kFp8ValueScale);
#pragma unroll
    for (int g = 0; g < Of::kGroups; ++g) {
      float2 extent = make_float2(most_[g], 0.0F);
#pragma unroll
      for (int w = 0; w < kWarps; ++w) extent.y += shared_.total[w][g * 4 + lane_ % 4];
      float2 dims[kParts];
#pragma unroll
      for (int m = 0; m < kParts; ++m) {
        const auto& sum = sum_[m][g];
        dims[m] = make_float2((sum[0] + sum[1] / static_cast<float>(kRest)) * kUnit,
                              (sum[2] + sum[3] / static_cast<float>(kRest)) * kUnit);
      }
      splits_.add(g, extent, dims);
    }
  }

  // The first of the lane's two dims of a part, the other is eight further.
  __device__ __forceinline__ int dim_of(int part) const {
    return first_dim() + part * 64 + warp_ % 4 * 16 + lane_ / 4;
  }
  __device__ __forceinline__ void put_out(int g, __nv_bfloat16* out) const {
    const float share = share_of(splits_.extent[g].y);
#pragma unroll
    for (int m = 0; m < kParts; ++m) {
      out[dim_of(m)] = __float2bfloat16(splits_.sum[m][g].x * share);
      out[dim_of(m) + 8] = __float2bfloat16(splits_.sum[m][g].y * share);
    }
  }
  __device__ __forceinline__ void put_partial(int g, std::size_t at) const {
#pragma unroll
    for (int m = 0; m < kParts; ++m) {
      partial_.sum[at * kDim + dim_of(m)] = splits_.sum[m][g].x;
      partial_.sum[at * kDim + dim_of(m) + 8] = splits_.sum[m][g].y;
    }
  }
  // By one lane of the head's.
  __device__ __forceinline__ void say(std::size_t head_of_rows, int split,
                                      const float2& extent) const {
    if (warp_ == 0 && lane_ < 4) partial_.extent[head_of_rows * partial_.splits + split] = extent;
  }

  const Attention& work_;
  Shared<kDim, kColumns>& shared_;
  const Partial& partial_;
  const int warp_;
  const int lane_;
  const int sharing_;
  const float unit_;
  RotaryTurn<kDim / 64, 1> turn_;
  RingPlace<Of::kSlots> place_;  // of the next keys, or values
  float most_[Of::kGroups];
  float total_[Of::kGroups];  // of the lane's keys
  float sum_[kParts][Of::kGroups][4];
  SplitSums<kParts, Of::kGroups> splits_;
};

// kFresh: queries, and the key and value of the row's own position, come from the projections.
// kMeets: see Partial::meetings.
template <int kDim, int kColumns, bool kFresh, bool kMeets>
__global__ void __launch_bounds__(kThreads, Shape<kDim, kColumns>::kBlocksOfMultiprocessor)
    attend_fp8_kernel(const __grid_constant__ Attention work,
                      const __grid_constant__ RotateAndStore rotate, const int* list, int count,
                      const __grid_constant__ Partial partial) {
  extern __shared__ __align__(128) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim, kColumns>*>(memory);
  let_next_kernel_start();
  if (threadIdx.x == 0) {
    for (auto& barrier : shared.there) begin_barrier(shared_address(&barrier), 1);
    for (auto& barrier : shared.taken) begin_barrier(shared_address(&barrier), kAttending / 32);
    show_barriers();
  }
  Line<Shared<kDim, kColumns>> line(shared, work, list, count, partial.splits);
  if (threadIdx.x >= kAttending) {
    if (!kFresh) wait_for_previous_kernels();  // one of them writes the latest keys and values
    copy_pages<kDim, kColumns>(work, shared, line);
    return;
  }
  Attending<kDim, kColumns> attending(work, shared, partial);
  if constexpr (kFresh) {
    for (int index = line.begin(); index < line.end(); ++index) {
      const Item item = line.at(index);
      attending.prepare(item, rotate);
      wait_for_previous_kernels();
      attending.run_fresh(item, rotate);
    }
    wait_for_previous_kernels();
  } else {
    wait_for_previous_kernels();
    int row = -1, kv_head = -1;
    for (int index = line.begin(); index < line.end(); ++index) {
      const Item item = line.at(index);
      attending.run(item, item.row == row && item.kv_head == kv_head);
      row = item.row;
      kv_head = item.kv_head;
    }
  }
  if constexpr (kMeets) {
    attending.meet_all();
    line.restart();
    for (int index = line.begin(); index < line.end(); ++index) attending.join_part(line.at(index));
  }
  zero_blind_rows<kDim>(work, shared, count);
}

template <int kDim, int kColumns, bool kFresh>
cudaError_t launch_rows(const Attention& work, const RotateAndStore& rotate, const DecodeRows& rows,
                        cudaStream_t stream) {
  const int splits = splits_max(rows.keys_max);
  const std::int64_t items = std::int64_t{rows.count} * work.kv.kv_heads * splits;
  const std::int64_t most = kMultiprocessors * Shape<kDim, kColumns>::kBlocksOfMultiprocessor;
  const bool packs = rows.packed.values != nullptr,
             few = work.heads / work.kv.kv_heads <= kFusedHeads;
  // A block that has another split to do would wait for its own stores and for the counter.
  Partial partial = partial_of(work, rows, splits, !packs && few && items <= most);
  decode::let_meet(partial, rows, decode::multiprocessors() >= kMultiprocessors);
  const auto kernel = partial.meetings != nullptr
                          ? attend_fp8_kernel<kDim, kColumns, kFresh, true>
                          : attend_fp8_kernel<kDim, kColumns, kFresh, false>;
  const cudaError_t status = launch(kernel,
                                    {.blocks = static_cast<unsigned>(std::min(items, most)),
                                     .threads = kThreads,
                                     .shared_bytes = sizeof(Shared<kDim, kColumns>)},
                                    stream, work, rotate, rows.list, rows.count, partial);
  if (status != cudaSuccess) return status;
  return decode::launch_together<SplitCount, Join>(work, rows, partial, stream);
}

}  // namespace
}  // namespace captiond::kernels::paged

namespace captiond::kernels::decode {

using paged::kRowsMax;
using paged::launch_rows;

cudaError_t attend_decode_fp8(const Attention& work, const DecodeRows& rows, cudaStream_t stream) {
  const bool few = work.heads / work.kv.kv_heads <= 4;
  const std::size_t width = static_cast<std::size_t>(work.heads) * work.kv.head_dim;
  for (int first = 0; first < rows.count; first += kRowsMax) {
    Attention part = work;
    DecodeRows list = rows;
    list.count = std::min(kRowsMax, rows.count - first);
    if (rows.list != nullptr) {
      list.list += first;
    } else {
      part.rows += first;
      part.query += first * width;
      part.out += first * width;
      if (rows.packed.values != nullptr)
        list.packed = {static_cast<char*>(rows.packed.values) + first * width,
                       rows.packed.scales + first};
    }
    const cudaError_t status = work.kv.head_dim == 512
                                   ? few ? launch_rows<512, 8, false>(part, {}, list, stream)
                                         : launch_rows<512, 32, false>(part, {}, list, stream)
                               : few ? launch_rows<256, 8, false>(part, {}, list, stream)
                                     : launch_rows<256, 32, false>(part, {}, list, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

cudaError_t rotate_and_attend_fp8(const RotateAndStore& rotate, const Attention& work,
                                  const DecodeRows& rows, cudaStream_t stream) {
  if (rows.count > kRowsMax) return cudaErrorInvalidValue;
  return work.kv.head_dim == 512 ? launch_rows<512, 8, true>(work, rotate, rows, stream)
                                 : launch_rows<256, 8, true>(work, rotate, rows, stream);
}

}  // namespace captiond::kernels::decode
