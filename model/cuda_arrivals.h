#pragma once

#include <cstddef>
#include <string>

#include "model/cuda_memory.h"

namespace captiond {

// The right to launch kernels whose blocks wait for each other (kernels/grid_arrivals.h) on the
// current device, and the words that they need. The first of a process has it until it ends;
// another that is made meanwhile (a second engine on the same card) has not, and its owner launches
// kernels apart, which have the same bits, and says so. Nobody has it under MPS.
class CudaArrivals {
 public:
  // Throws CudaError.
  CudaArrivals();
  ~CudaArrivals();
  CudaArrivals(const CudaArrivals&) = delete;
  CudaArrivals& operator=(const CudaArrivals&) = delete;

  bool may_wait() const { return obstacle_.empty(); }
  // Why not, as the end of a sentence; else empty.
  const std::string& obstacle() const { return obstacle_; }
  // kernels::kSplitArrivalBytes and kPackingArrivalBytes, on the device.
  unsigned* of_splits() const { return words_.as<unsigned>(); }
  unsigned* of_packing() const;
  std::size_t bytes() const { return words_.bytes(); }

 private:
  const int device_;
  const DeviceMemory words_;
  const std::string obstacle_;
};

}  // namespace captiond
