#pragma once

#include <cstddef>

// Launches whose blocks wait for each other (grid_arrival.cuh) until all have written, to do in a
// last phase what else were a kernel behind them.
//
// Such a launch ends only if all its blocks find room at once: each asks the device beforehand
// (norms_behind() and its like), and kernels of the same stream take none of it away, as a kernel
// may start early only when all blocks of the one before it have begun. But two such launches of
// different streams could each hold half of the multiprocessors and wait for ever: so only one
// stream of a process and device may have any (CudaArrivals), and none where processes share
// multiprocessors (MPS). Kernels that wait for nobody may run beside them.
//
// Words for that are device memory, zeroed once, of one stream; every launch leaves them fit for
// the next, of whichever kind and size.
namespace captiond::kernels {

// Where blocks of a product that is split along K meet, each split by itself, a line each.
inline constexpr std::size_t kSplitArrivalBytes = 512;

// Where blocks of gate and up meet that pack their products: a line, and two times the sizes of 256
// rows.
inline constexpr std::size_t kPackingArrivalBytes = 128 + std::size_t{2} * 256 * sizeof(float);

}  // namespace captiond::kernels
