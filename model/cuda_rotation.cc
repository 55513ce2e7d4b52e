#include "model/cuda_rotation.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <cuda_runtime_api.h>

#include "model/cuda_kv_storage.h"
#include "model/cuda_step.h"
#include "model/cuda_weights.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/rotary.h"

namespace captiond {
namespace {

std::size_t index_of(KvGroup group) { return static_cast<std::size_t>(group); }

LayerType type_of(KvGroup group) {
  return group == KvGroup::kSliding ? LayerType::kSliding : LayerType::kFull;
}

// Rotary embedding of one layer type: reference model.md 1 and TextConfig.
DeviceMemory inverse_frequencies(const AttentionConfig& attention) {
  const RopeConfig& rope = attention.rope;
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < rope.rotary_pairs; ++i) {
    // In float32 throughout, as transformers computes it.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(attention.head_dim);
    const float power = std::pow(static_cast<float>(rope.theta), exponent);
    frequencies.push_back(1.0F / power / static_cast<float>(rope.factor));
  }
  const std::size_t bytes = frequencies.size() * sizeof(float);
  DeviceMemory memory(std::max<std::size_t>(bytes, sizeof(float)), "the rotary frequencies");
  kernels::check_cuda(cudaMemcpy(memory.data(), frequencies.data(), bytes, cudaMemcpyHostToDevice),
                      "Sending the rotary frequencies");
  return memory;
}

}  // namespace

CudaRotation::CudaRotation(const TextConfig& text, const CudaWeights& weights,
                           const CudaKvStorage& kv, const CudaStep& step,
                           const __nv_bfloat16* projected, __nv_bfloat16* query)
    : text_(text), weights_(weights), kv_(kv), step_(step), projected_(projected), query_(query) {
  for (const KvGroup group : kKvGroups) {
    inverse_frequency_[index_of(group)] = inverse_frequencies(text.attention(type_of(group)));
  }
}

kernels::RotateAndStore CudaRotation::of_layer(std::size_t index) const {
  const CudaWeights::Layer& layer = weights_.layers()[index];
  const KvGroup group = kv_.group(index);
  const AttentionConfig& attention = text_.attention(text_.layer_types[index]);
  return {.projected = projected_,
          .query_weight = layer.query_norm,
          .key_weight = layer.key_norm,
          .inverse_frequency = inverse_frequency_[index_of(group)].as<float>(),
          .query = query_,
          .kv = kv_.layer(index),
          .rows = step_.kv_rows(group),
          .pages = step_.pages(),
          .heads = static_cast<int>(text_.heads),
          .rotary_pairs = static_cast<int>(attention.rope.rotary_pairs),
          .value_is_key = attention.value_is_key,
          .eps = static_cast<float>(text_.rms_norm_eps)};
}

}  // namespace captiond
