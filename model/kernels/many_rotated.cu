// The projections of many rows and, as the last phase of the blocks that made a row, its norm, rope
// and way into the pages: heads of all rows in one line, an even part of it for each warp.

#include "model/kernels/many_last_phase.cuh"
#include "model/kernels/rotary_row.cuh"
#include "model/kernels/rotation_behind.h"

namespace captiond::kernels {
namespace {

// Dims of a head as they stand in memory, not looked at yet.
template <int kVector>
struct RawHead {
  struct alignas(2 * kVector) Part {
    __nv_bfloat16 values[kVector];
  };
  Part low, high;

  __device__ void load(const __nv_bfloat16* from, int half) {
    const int pair = RotaryHead<kVector, 1>::pair(0);
    low = *reinterpret_cast<const Part*>(from + pair);
    high = *reinterpret_cast<const Part*>(from + half + pair);
  }
  __device__ RotaryHead<kVector, 1> values() const {
    RotaryHead<kVector, 1> head;
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      head.low[0][i] = __bfloat162float(low.values[i]);
      head.high[0][i] = __bfloat162float(high.values[i]);
    }
    return head;
  }
};

// Heads `begin` … `end` - 1 of the rows from `first_row` on, by a warp one after another; `wait`
// returns once their projections stand. Each is asked for while the one before is turned.
template <class Slot, int kVector, class Wait>
__device__ __forceinline__ void rotate_heads(const RotateAndStore& work, int first_row, int begin,
                                             int end, const Wait& wait) {
  const int dim = work.kv.head_dim, half = dim / 2, count = heads_of_row(work);
  RawHead<kVector> of_query, of_key, next;
  of_query.load(work.query_weight, half);
  of_key.load(work.key_weight, half);
  auto step_row = static_cast<std::size_t>(first_row + begin / count);
  KvRow row = {.position = -1}, row_behind = row;
  RotaryTurn<kVector, 1> turn;
  if (begin < end) {
    row = work.rows[step_row];
    if ((begin / count + 1) * count < end) row_behind = work.rows[step_row + 1];
    if (row.position >= 0) turn.compute(work, row.position);
  }
  wait();
  const __nv_bfloat16* const projected =
      work.projected + static_cast<std::size_t>(first_row) * count * dim;
  const auto ask = [&](int at) {
    if (at < end) next.load(projected + static_cast<std::size_t>(at) * dim, half);
  };
  ask(begin);
  for (int at = begin; at < end; ++at) {
    const int index = at % count;
    if (index == 0 && at > begin) {
      ++step_row;
      row = row_behind;
      if (at + count < end) row_behind = work.rows[step_row + 1];
      if (row.position >= 0) turn.compute(work, row.position);
    }
    const RotaryHead<kVector, 1> head = next.values();
    ask(at + 1);
    if (row.position < 0) continue;
    const RotaryHead<kVector, 1> weight = (index < work.heads ? of_query : of_key).values();
    rotate_head<Slot, kVector, 1, false>(work, row, step_row, index, head, weight, turn);
  }
}

struct RotatedTail : LastPhaseTail<RotationBehind> {
  template <int kRows>
  __device__ void after(const Kept& kept, const TileTask& task, const TileInput& input) const {
    const int first = kRows * task.split / input.splits;
    const int rows = min(input.rows, kRows * (task.split + 1) / input.splits) - first;
    arrive(task);
    // All heads of all rows in one line, of which each warp of these blocks has an even part.
    const int heads = rows * heads_of_row(behind.rotate), warps = task.tile_stride * kTakerWarps;
    const int block = task.first_tile * kTakerWarps;
    if (rows <= 0 || block * heads / warps == (block + kTakerWarps) * heads / warps) return;
    const int warp = block + static_cast<int>(threadIdx.x) / 32;
    rotate(first, warp * heads / warps, (warp + 1) * heads / warps, [&] { wait(kept, task); });
  }

 private:
  template <class Wait>
  __device__ void rotate(int first_row, int begin, int end, const Wait& wait) const {
    const bool fp8 = behind.rotate.kv.format == KvFormat::kFp8;
    if (behind.rotate.kv.head_dim == 512)
      fp8 ? rotate_heads<Fp8Slot, 8>(behind.rotate, first_row, begin, end, wait)
          : rotate_heads<Bf16Slot, 8>(behind.rotate, first_row, begin, end, wait);
    else
      fp8 ? rotate_heads<Fp8Slot, 4>(behind.rotate, first_row, begin, end, wait)
          : rotate_heads<Bf16Slot, 4>(behind.rotate, first_row, begin, end, wait);
  }
};

bool can_rotate(const Matrix& w, const RotationBehind& behind) {
  const RotateAndStore& work = behind.rotate;
  return can_rotate_rows(work) && behind.arrivals != nullptr &&
         rotates_head_dim(work.kv.head_dim) && w.out == heads_of_row(work) * work.kv.head_dim;
}

}  // namespace

cudaError_t rotates_behind(const Matrix& w, const ManyRows& x, bool& runs) {
  runs = false;
  return last_phase_fits<RotatedTail>(w, x, runs);
}

cudaError_t linear_rotated_many(const Matrix& w, const ManyRows& x, const RotationBehind& behind,
                                cudaStream_t stream) {
  if (!can_rotate(w, behind)) return cudaErrorInvalidValue;
  return launch_last_phase<RotatedTail>(w, x, behind, behind.rotate.projected, stream);
}

}  // namespace captiond::kernels
