#pragma once

#include "model/kernels/grid_arrival.cuh"
#include "model/kernels/many_linear_tail.cuh"

// Last phases of a linear product of many rows: the blocks that wrote the same rows, one of each
// tile, wait for each other and then do with these rows what else were a kernel behind the product.
namespace captiond::kernels {

// What such tails share. `Behind` says what is to be done and has `arrivals` (kSplitArrivalBytes).
template <class Behind>
struct LastPhaseTail : ManyLinearTail<ManyToBf16> {
  struct Kept : NothingKept {
    unsigned round = 0;  // in thread 0
  };
  Behind behind;

  template <int kRows>
  __device__ Kept begin(const TileTask& task) const {
    Kept kept;
    if (threadIdx.x == 0) kept.round = round_of(counter(task));
    return kept;
  }

 protected:
  // Once the threads of the block have written all that they write.
  __device__ void arrive(const TileTask& task) const {
    wait_for_takers();
    if (threadIdx.x == 0)
      arrive_in_grid(counter(task), task.first_tile == 0, static_cast<unsigned>(task.tile_stride));
  }
  // Until the others have.
  __device__ void wait(const Kept& kept, const TileTask& task) const {
    if (threadIdx.x == 0) wait_for_grid(counter(task), kept.round);
    wait_for_takers();
  }

 private:
  // Of the blocks that have the same rows.
  __device__ unsigned* counter(const TileTask& task) const {
    return word_of_split(behind.arrivals, task.split);
  }
};

// Enqueues the product into `y` with the phase of `Tail`, a LastPhaseTail. `y` is what the phase
// reads.
template <class Tail, class Behind>
[[nodiscard]] cudaError_t launch_last_phase(const Matrix& w, const ManyRows& x,
                                            const Behind& behind, const __nv_bfloat16* y,
                                            cudaStream_t stream) {
  Tail tail;
  static_cast<ManyLinearTail<ManyToBf16>&>(tail) = {
      {const_cast<__nv_bfloat16*>(y)}, scales_of(w, x), w.out};
  tail.behind = behind;
  return launch_many(w, x, tail, stream);
}

// Whether all blocks of such a launch find room at once.
template <class Tail>
[[nodiscard]] cudaError_t last_phase_fits(const Matrix& w, const ManyRows& x, bool& fits) {
  return with_tile_format(w.format, [&](auto format) {
    return with_tile_rows<kRowsMax<Tail>>(x.rows, [&](auto rows) {
      return fit_tiles<decltype(format), decltype(rows)::value, Tail>(w, x, fits);
    });
  });
}

}  // namespace captiond::kernels
