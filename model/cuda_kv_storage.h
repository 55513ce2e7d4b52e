#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "model/checkpoint.h"
#include "model/cuda_memory.h"
#include "model/engine.h"
#include "model/kv_page.h"
#include "model/model_config.h"

namespace captiond {

namespace kernels {
struct KvLayer;
}

// The keys and values of all layers on the GPU, allocated once: for each group [layers, pages] of
// pages as kernels::KvLayer has them.
class CudaKvStorage {
 public:
  // `pages` of each group that the model has layers of. Throws std::runtime_error when they do not
  // fit.
  CudaKvStorage(const Checkpoint& checkpoint, std::size_t pages, KvFormat format);
  ~CudaKvStorage();
  CudaKvStorage(const CudaKvStorage&) = delete;
  CudaKvStorage& operator=(const CudaKvStorage&) = delete;

  // The pages of layer `index` of the model.
  kernels::KvLayer layer(std::size_t index) const;

  KvGroup group(std::size_t index) const;
  // How many layers of a group there are, their first one, and how far they lie apart.
  std::size_t layers(KvGroup group) const {
    return groups_[static_cast<std::size_t>(group)].layers;
  }
  kernels::KvLayer first_layer(KvGroup group) const;
  std::size_t layer_bytes(KvGroup group) const;

  std::size_t bytes() const;

 private:
  struct Group {
    DeviceMemory memory;
    std::size_t layers = 0;
  };

  const TextConfig& text_;  // the checkpoint's
  const std::size_t pages_;
  std::array<Group, kKvGroupCount> groups_;
  std::vector<kernels::KvLayer> layers_;  // by layer of the model
};

}  // namespace captiond
