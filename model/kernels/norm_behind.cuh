#pragma once

#include "model/kernels/grid_arrival.cuh"
#include "model/kernels/many_rows.cuh"
#include "model/kernels/norm_behind.h"
#include "model/kernels/norm_row.cuh"

// The last phase of a product of many rows: the blocks that wrote the same rows, one of each tile,
// wait for each other and then norm a row each with the operations of norm.cu and norm_packing.cu,
// in the order of their blocks of a thread for eight values: so bits are the same.
namespace captiond::kernels {

// A tail whose rows are normed behind it; `Inner` writes them to norm.sublayer.
template <class Inner>
struct NormedTail : Inner {
  struct Kept : NothingKept {
    unsigned round = 0;
  };
  NormBehind behind;

  template <int kRows>
  __device__ Kept begin(const TileTask& task) const {
    Kept kept;
    if (threadIdx.x == 0) kept.round = round_of(counter(task));
    return kept;
  }
  template <int kRows>
  __device__ void after(const Kept& kept, const TileTask& task, const TileInput& input) const {
    __shared__ NormScratch scratch;
    const int end = min(input.rows, kRows * (task.split + 1) / input.splits);
    int row = kRows * task.split / input.splits + task.first_tile;
    wait_for_takers();  // until all have written
    if (threadIdx.x == 0)
      arrive_in_grid(counter(task), task.first_tile == 0, static_cast<unsigned>(task.tile_stride));
    if (row >= end) return;
    NormRow taken;
    taken.load_weights(behind.norm);
    taken.load_hidden(behind.norm, row);
    if (threadIdx.x == 0) wait_for_grid(counter(task), kept.round);
    wait_for_takers();
    for (;;) {
      taken.norm(behind.norm, behind.packed, row, scratch);
      row += task.tile_stride;
      if (row >= end) return;
      taken.load_hidden(behind.norm, row);
    }
  }

 private:
  // Of the blocks that have the same rows.
  __device__ unsigned* counter(const TileTask& task) const {
    return word_of_split(behind.arrivals, task.split);
  }
};

}  // namespace captiond::kernels
