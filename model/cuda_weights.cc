#include "model/cuda_weights.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/cuda_upload.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/pack_matrix.h"

namespace captiond {
namespace {

constexpr std::size_t kAlignment = 256;

// Matrices to be quantised travel through so much device memory at a time.
constexpr std::size_t kStagingBytes = std::size_t{4} << 30;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t elements_of(const std::vector<std::int64_t>& shape) {
  std::size_t elements = 1;
  for (const std::int64_t dimension : shape) elements *= static_cast<std::size_t>(dimension);
  return elements;
}

std::size_t elements_of(const kernels::Matrix& matrix) {
  return static_cast<std::size_t>(matrix.out) * static_cast<std::size_t>(matrix.in);
}

void append_parts(const std::vector<const TensorView*>& tensors, std::byte* place,
                  std::vector<UploadPart>& parts) {
  for (const TensorView* tensor : tensors) {
    const std::size_t elements = elements_of(tensor->shape);
    parts.push_back(
        {.from = tensor->data, .dtype = tensor->dtype, .to = place, .elements = elements});
    place += elements * sizeof(__nv_bfloat16);
  }
}

// A matrix in another format than the checkpoint's.
struct Packing {
  kernels::Matrix matrix;
  std::vector<const TensorView*> tensors;  // one below the other
};

std::size_t staged_bytes(const Packing& packing) {
  return aligned(elements_of(packing.matrix) * sizeof(__nv_bfloat16));
}

// Gives tensors their place, one behind the other, and remembers what has to travel there. Without
// memory it only counts the bytes.
class Placement {
 public:
  Placement(const Checkpoint& checkpoint, kernels::MatrixFormat format, std::byte* memory)
      : checkpoint_(checkpoint), format_(format), memory_(memory) {}

  std::size_t bytes() const { return bytes_; }
  const std::vector<UploadPart>& parts() const { return parts_; }
  const std::vector<Packing>& packings() const { return packings_; }

  const __nv_bfloat16* vector(const std::string& name) {
    return static_cast<const __nv_bfloat16*>(take_all({&checkpoint_.tensor(name)}));
  }

  // The rows of all `names` one below the other; each [*, in].
  kernels::Matrix plain_matrix(std::initializer_list<std::string> names) {
    Packing packing = packing_of(names);
    packing.matrix.format = kernels::MatrixFormat::kBf16;
    packing.matrix.values = take_all(packing.tensors);
    return packing.matrix;
  }

  // The same in the format asked for.
  kernels::Matrix matrix(std::initializer_list<std::string> names) {
    if (format_ == kernels::MatrixFormat::kBf16) return plain_matrix(names);
    Packing packing = packing_of(names);
    if (format_ == kernels::MatrixFormat::kInt4 && packing.matrix.in % 32 != 0) {
      throw std::runtime_error("The weights cannot be int4: " + *names.begin() + " has rows of " +
                               std::to_string(packing.matrix.in) +
                               " values, which is no multiple of 32; use int8.");
    }
    const kernels::MatrixBytes bytes =
        kernels::matrix_bytes(format_, packing.matrix.out, packing.matrix.in);
    packing.matrix.values = take(bytes.values);
    packing.matrix.scales = take(bytes.scales);
    packings_.push_back(packing);
    return packing.matrix;
  }

 private:
  Packing packing_of(std::initializer_list<std::string> names) const {
    Packing packing{.matrix = {.format = format_}, .tensors = {}};
    for (const std::string& name : names) {
      const TensorView& tensor = checkpoint_.tensor(name);
      packing.matrix.out += static_cast<int>(tensor.shape[0]);
      packing.matrix.in = static_cast<int>(tensor.shape[1]);
      packing.tensors.push_back(&tensor);
    }
    return packing;
  }

  std::byte* take(std::size_t bytes) {
    std::byte* const place = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ += aligned(bytes);
    return place;
  }

  void* take_all(const std::vector<const TensorView*>& tensors) {
    std::size_t elements = 0;
    for (const TensorView* tensor : tensors) elements += elements_of(tensor->shape);
    std::byte* const place = take(elements * sizeof(__nv_bfloat16));
    if (place != nullptr) append_parts(tensors, place, parts_);
    return place;
  }

  const Checkpoint& checkpoint_;
  const kernels::MatrixFormat format_;
  std::byte* const memory_;
  std::size_t bytes_ = 0;
  std::vector<UploadPart> parts_;
  std::vector<Packing> packings_;
};

// Uploads as many matrices at a time as the staging memory holds and quantises them from there.
void pack(const std::vector<Packing>& packings) {
  if (packings.empty()) return;
  std::size_t largest = 0;
  std::size_t all = 0;
  for (const Packing& packing : packings) {
    const std::size_t bytes = staged_bytes(packing);
    largest = std::max(largest, bytes);
    all += bytes;
  }
  const std::size_t staging_bytes = std::max(largest, std::min(all, kStagingBytes));
  const DeviceMemory staging(staging_bytes, "the weights on their way to be quantised");
  for (std::size_t first = 0; first < packings.size();) {
    std::vector<UploadPart> parts;
    std::vector<const __nv_bfloat16*> sources;
    std::size_t used = 0;
    for (std::size_t i = first; i < packings.size(); ++i) {
      const std::size_t bytes = staged_bytes(packings[i]);
      if (used + bytes > staging_bytes) break;
      append_parts(packings[i].tensors, staging.data() + used, parts);
      sources.push_back(reinterpret_cast<const __nv_bfloat16*>(staging.data() + used));
      used += bytes;
    }
    upload(parts);
    for (const __nv_bfloat16* source : sources) {
      kernels::check_cuda(kernels::pack_matrix(source, packings[first++].matrix, nullptr),
                          "Quantising weights");
    }
    kernels::check_cuda(cudaDeviceSynchronize(), "Quantising weights");
  }
}

CudaWeights::Layer place_layer(Placement& place, const TextConfig& text, std::size_t index) {
  const std::string prefix = "model.language_model.layers." + std::to_string(index) + ".";
  const auto name = [&](const char* suffix) { return prefix + suffix + ".weight"; };
  const std::string query = name("self_attn.q_proj");
  const std::string key = name("self_attn.k_proj");
  const bool value_is_key = text.attention(text.layer_types[index]).value_is_key;
  CudaWeights::Layer layer;
  layer.query_key_value = value_is_key ? place.matrix({query, key})
                                       : place.matrix({query, key, name("self_attn.v_proj")});
  layer.attention_out = place.matrix({name("self_attn.o_proj")});
  layer.gate_up = place.matrix({name("mlp.gate_proj"), name("mlp.up_proj")});
  layer.down = place.matrix({name("mlp.down_proj")});
  layer.input_norm = place.vector(name("input_layernorm"));
  layer.query_norm = place.vector(name("self_attn.q_norm"));
  layer.key_norm = place.vector(name("self_attn.k_norm"));
  layer.post_attention_norm = place.vector(name("post_attention_layernorm"));
  layer.pre_feedforward_norm = place.vector(name("pre_feedforward_layernorm"));
  layer.post_feedforward_norm = place.vector(name("post_feedforward_layernorm"));
  layer.scalar = place.vector(prefix + "layer_scalar");
  return layer;
}

CudaWeights::Vision place_vision(Placement& place) {
  const std::string prefix = "model.vision_embedder.";
  const auto layer_norm = [&](const std::string& name) {
    return CudaWeights::LayerNorm{.weight = place.vector(prefix + name + ".weight"),
                                  .bias = place.vector(prefix + name + ".bias")};
  };
  return {
      .patch_norm1 = layer_norm("patch_ln1"),
      .dense = place.plain_matrix({prefix + "patch_dense.weight"}),
      .dense_bias = place.vector(prefix + "patch_dense.bias"),
      .patch_norm2 = layer_norm("patch_ln2"),
      .positions = place.vector(prefix + "pos_embedding"),
      .position_norm = layer_norm("pos_norm"),
      .projection = place.plain_matrix({"model.embed_vision.embedding_projection.weight"}),
  };
}

}  // namespace

CudaWeights::CudaWeights(const Checkpoint& checkpoint, kernels::MatrixFormat format) {
  const ModelConfig& config = checkpoint.config();
  const auto place_all = [&](Placement& place) {
    const std::string embedding = "model.language_model.embed_tokens.weight";
    const kernels::Matrix table = place.plain_matrix({embedding});
    embedding_ = static_cast<const __nv_bfloat16*>(table.values);
    head_ = format == kernels::MatrixFormat::kBf16 ? table : place.matrix({embedding});
    layers_.clear();
    for (std::size_t i = 0; i < config.text.layer_types.size(); ++i) {
      layers_.push_back(place_layer(place, config.text, i));
    }
    norm_ = place.vector("model.language_model.norm.weight");
    if (config.audio) {
      audio_ = place.plain_matrix({"model.embed_audio.embedding_projection.weight"});
    }
    if (config.vision) vision_ = place_vision(place);
  };
  Placement counted(checkpoint, format, nullptr);
  place_all(counted);
  memory_ = DeviceMemory(counted.bytes(), "the weights of " + checkpoint.folder().string());
  Placement placed(checkpoint, format, memory_.data());
  place_all(placed);
  const auto began = std::chrono::steady_clock::now();
  upload(placed.parts());
  pack(placed.packings());
  upload_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace captiond
