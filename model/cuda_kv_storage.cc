#include "model/cuda_kv_storage.h"

#include <cuda_bf16.h>

#include "model/kernels/kv_layer.h"

namespace captiond {

static_assert(kernels::kKvPagePositions == static_cast<int>(kPagePositions));

CudaKvStorage::CudaKvStorage(const TextConfig& text, std::size_t pages)
    : text_(text), pages_(pages) {
  for (std::size_t i = 0; i < text.layer_types.size(); ++i) {
    const AttentionConfig& attention = text.attention(text.layer_types[i]);
    Group& of = groups_[static_cast<std::size_t>(group(i))];
    of.kv_heads = static_cast<int>(attention.kv_heads);
    of.head_dim = static_cast<int>(attention.head_dim);
    in_group_.push_back(of.layers++);
  }
  for (const KvGroup kind : kKvGroups) {
    Group& of = groups_[static_cast<std::size_t>(kind)];
    of.memory = DeviceMemory(
        of.layers * layer_values(kind) * sizeof(__nv_bfloat16),
        "the keys and values of " + std::to_string(pages * kPagePositions) + " positions");
  }
}

kernels::KvLayer CudaKvStorage::layer_of(const Group& group, std::size_t in_group) const {
  kernels::KvLayer layer{.base = nullptr, .kv_heads = group.kv_heads, .head_dim = group.head_dim};
  layer.base = group.memory.as<__nv_bfloat16>() + in_group * pages_ * layer.page_values();
  return layer;
}

kernels::KvLayer CudaKvStorage::layer(std::size_t index) const {
  return layer_of(groups_[static_cast<std::size_t>(group(index))], in_group_[index]);
}

KvGroup CudaKvStorage::group(std::size_t index) const {
  return text_.layer_types[index] == LayerType::kSliding ? KvGroup::kSliding : KvGroup::kFull;
}

kernels::KvLayer CudaKvStorage::first_layer(KvGroup group) const {
  return layer_of(groups_[static_cast<std::size_t>(group)], 0);
}

std::size_t CudaKvStorage::layer_values(KvGroup group) const {
  return pages_ * first_layer(group).page_values();
}

std::size_t CudaKvStorage::bytes() const {
  std::size_t bytes = 0;
  for (const Group& group : groups_) bytes += group.memory.bytes();
  return bytes;
}

}  // namespace captiond
