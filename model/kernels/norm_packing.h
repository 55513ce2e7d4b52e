#pragma once

#include <cuda_runtime_api.h>

#include "model/kernels/norm.h"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {

// rms_norm() and residual_norm() whose y goes to a product in e4m3: it is packed as pack_rows()
// packs it, byte for byte, without standing in memory. `y` of the norm is null; a residual norm has
// its `pre_weight`. As norm.h otherwise.
[[nodiscard]] cudaError_t pack_rms_norm(const RmsNorm& norm, const PackedRows& packed, int count,
                                        cudaStream_t stream) noexcept;
[[nodiscard]] cudaError_t pack_residual_norm(const ResidualNorm& norm, const PackedRows& packed,
                                             int count, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
