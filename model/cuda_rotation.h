#pragma once

#include <array>
#include <cstddef>

#include "model/cuda_memory.h"
#include "model/kv_page.h"
#include "model/text_config.h"

struct __nv_bfloat16;

namespace captiond {

namespace kernels {
struct RotateAndStore;
}  // namespace kernels

class CudaKvStorage;
class CudaStep;
class CudaWeights;

// What rope needs of each layer of a step: the frequencies of both layer types on the device, and
// where projections, norms and pages stand. Refers to what it is made of.
class CudaRotation {
 public:
  // `projected` and `query` are activations of a step. Throws CudaError.
  CudaRotation(const TextConfig& text, const CudaWeights& weights, const CudaKvStorage& kv,
               const CudaStep& step, const __nv_bfloat16* projected, __nv_bfloat16* query);

  kernels::RotateAndStore of_layer(std::size_t index) const;

 private:
  const TextConfig& text_;
  const CudaWeights& weights_;
  const CudaKvStorage& kv_;
  const CudaStep& step_;
  const __nv_bfloat16* const projected_;
  __nv_bfloat16* const query_;
  std::array<DeviceMemory, kKvGroupCount> inverse_frequency_;
};

}  // namespace captiond
