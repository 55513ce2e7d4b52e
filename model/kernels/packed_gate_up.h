#pragma once

#include <cuda_runtime_api.h>

#include "model/kernels/grid_arrivals.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {

// Whether gate_up_packed_many() runs for W and so many rows: kFp8, products in whole tiles of 64,
// at most two tiles for a block, all blocks at once.
[[nodiscard]] cudaError_t packs_behind(const Matrix& w, const ManyRows& x, bool& runs);

// gate_up_many() and pack_rows() of its h in one launch, with their bits; `arrivals` is
// kPackingArrivalBytes (grid_arrivals.h). As gate_up_many() otherwise.
[[nodiscard]] cudaError_t gate_up_packed_many(const Matrix& w, const ManyRows& x,
                                              const PackedRows& h, unsigned* arrivals,
                                              cudaStream_t stream);

}  // namespace captiond::kernels
