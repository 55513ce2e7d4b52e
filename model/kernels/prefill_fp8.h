#pragma once

#include <cuda_runtime_api.h>

#include "model/kernels/attention.h"

namespace captiond::kernels {

// attend_prefill() over fp8 pages, of shapes that it supports; all arrays are there.
[[nodiscard]] cudaError_t attend_prefill_fp8(const Attention& work, const PrefillTiles& tiles,
                                             cudaStream_t stream);

}  // namespace captiond::kernels
