#include "model/cuda_kv_storage.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "model/bfloat16.h"
#include "model/check.h"
#include "model/kernels/kv_layer.h"

namespace captiond {
namespace {

static_assert(kernels::kKvPagePositions == static_cast<int>(kPagePositions));

kernels::KvFormat format_of(KvFormat format) {
  switch (format) {
    case KvFormat::kBf16:
      return kernels::KvFormat::kBf16;
    case KvFormat::kFp8:
      return kernels::KvFormat::kFp8;
  }
  check(false, "a format of keys and values is one of its enumerators");
  return kernels::KvFormat::kBf16;
}

// The greatest magnitude in a tensor.
float greatest(const TensorView& tensor) {
  float most = 0.0F;
  for (std::size_t at = 0; at < tensor.bytes; at += bytes_per_element(tensor.dtype)) {
    float value = 0.0F;
    if (tensor.dtype == Dtype::kFloat32) {
      std::memcpy(&value, tensor.data + at, sizeof(value));
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, tensor.data + at, sizeof(bits));
      value = float_of_bfloat16(bits);
    }
    most = std::max(most, std::abs(value));
  }
  return most;
}

}  // namespace

CudaKvStorage::CudaKvStorage(const Checkpoint& checkpoint, std::size_t pages, KvFormat format)
    : text_(checkpoint.config().text), pages_(pages) {
  for (std::size_t i = 0; i < text_.layer_types.size(); ++i) {
    const AttentionConfig& attention = text_.attention(text_.layer_types[i]);
    const auto head_dim = static_cast<int>(attention.head_dim);
    const auto scale_of = [&](const char* norm) {
      return kernels::fp8_scale(
          greatest(checkpoint.tensor("model.language_model.layers." + std::to_string(i) +
                                     ".self_attn." + norm + ".weight")),
          head_dim);
    };
    layers_.push_back({.base = nullptr,
                       .kv_heads = static_cast<int>(attention.kv_heads),
                       .head_dim = head_dim,
                       .format = format_of(format),
                       .key_scale = scale_of("k_norm"),
                       .query_scale = scale_of("q_norm")});
    ++groups_[static_cast<std::size_t>(group(i))].layers;
  }
  for (const KvGroup kind : kKvGroups) {
    Group& of = groups_[static_cast<std::size_t>(kind)];
    of.memory = DeviceMemory(
        of.layers * layer_bytes(kind),
        "the keys and values of " + std::to_string(pages * kPagePositions) + " positions");
    std::byte* next = of.memory.data();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (group(i) != kind) continue;
      layers_[i].base = next;
      next += layer_bytes(kind);
    }
  }
}

CudaKvStorage::~CudaKvStorage() = default;

kernels::KvLayer CudaKvStorage::layer(std::size_t index) const { return layers_[index]; }

KvGroup CudaKvStorage::group(std::size_t index) const {
  return text_.layer_types[index] == LayerType::kSliding ? KvGroup::kSliding : KvGroup::kFull;
}

kernels::KvLayer CudaKvStorage::first_layer(KvGroup kind) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (group(i) == kind) return layers_[i];
  }
  return {};
}

std::size_t CudaKvStorage::layer_bytes(KvGroup group) const {
  return pages_ * first_layer(group).page_bytes();
}

std::size_t CudaKvStorage::bytes() const {
  std::size_t bytes = 0;
  for (const Group& group : groups_) bytes += group.memory.bytes();
  return bytes;
}

}  // namespace captiond
