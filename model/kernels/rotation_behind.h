#pragma once

#include <cuda_runtime_api.h>

#include "model/kernels/grid_arrivals.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/rotary.h"

namespace captiond::kernels {

// Norm, rope and the way into the pages behind the product that makes the projections.
struct RotationBehind {
  RotateAndStore rotate;         // `projected` is where the product writes
  unsigned* arrivals = nullptr;  // kSplitArrivalBytes: grid_arrivals.h
};

// The heads that it takes.
constexpr bool rotates_head_dim(int head_dim) { return head_dim == 256 || head_dim == 512; }

// Whether linear_rotated_many() runs for W and so many rows: all its blocks must find room at once.
[[nodiscard]] cudaError_t rotates_behind(const Matrix& w, const ManyRows& x, bool& runs);

// linear_many() into behind.rotate.projected and rotate_and_store() of it in one launch, with their
// bits. As linear_many() otherwise.
[[nodiscard]] cudaError_t linear_rotated_many(const Matrix& w, const ManyRows& x,
                                              const RotationBehind& behind, cudaStream_t stream);

}  // namespace captiond::kernels
