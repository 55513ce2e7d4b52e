#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "model/checkpoint.h"
#include "model/cuda_memory.h"
#include "model/kernels/matrix.h"

struct __nv_bfloat16;

namespace captiond {

// The weights of a checkpoint on the GPU, in one block of memory: the matrices of the text model in
// the format asked for, all else in bfloat16. All pointers are device memory, 256-byte aligned, and
// live as long as the object. Immutable.
class CudaWeights {
 public:
  struct Layer {
    kernels::Matrix query_key_value;  // rows: heads, KV heads, then KV heads unless value_is_key
    kernels::Matrix attention_out;
    kernels::Matrix gate_up;  // all of gate, then all of up
    kernels::Matrix down;
    const __nv_bfloat16* input_norm = nullptr;            // [hidden_size]
    const __nv_bfloat16* query_norm = nullptr;            // [head_dim]
    const __nv_bfloat16* key_norm = nullptr;              // [head_dim]
    const __nv_bfloat16* post_attention_norm = nullptr;   // [hidden_size]
    const __nv_bfloat16* pre_feedforward_norm = nullptr;  // [hidden_size]
    const __nv_bfloat16* post_feedforward_norm = nullptr;
    const __nv_bfloat16* scalar = nullptr;  // [1]
  };
  struct LayerNorm {
    const __nv_bfloat16* weight = nullptr;
    const __nv_bfloat16* bias = nullptr;
  };
  struct Vision {
    LayerNorm patch_norm1;
    kernels::Matrix dense;
    const __nv_bfloat16* dense_bias = nullptr;
    LayerNorm patch_norm2;
    const __nv_bfloat16* positions = nullptr;  // [mm_posemb_size, 2 (x, y), mm_embed_dim]
    LayerNorm position_norm;
    kernels::Matrix projection;
  };

  // Copies the mapped files to the GPU and quantises there; the checkpoint is not needed
  // afterwards. Throws std::runtime_error when they do not fit, or when int4 is asked for and a
  // matrix has rows of no multiple of 32 values.
  CudaWeights(const Checkpoint& checkpoint, kernels::MatrixFormat format);
  CudaWeights(const CudaWeights&) = delete;
  CudaWeights& operator=(const CudaWeights&) = delete;

  const std::vector<Layer>& layers() const { return layers_; }
  const __nv_bfloat16* embedding() const { return embedding_; }  // [vocab_size, hidden_size]
  const kernels::Matrix& head() const { return head_; }          // the same numbers
  const __nv_bfloat16* norm() const { return norm_; }            // [hidden_size]
  const std::optional<kernels::Matrix>& audio() const { return audio_; }
  const std::optional<Vision>& vision() const { return vision_; }

  std::size_t bytes() const { return memory_.bytes(); }
  double upload_seconds() const { return upload_seconds_; }

 private:
  DeviceMemory memory_;
  std::vector<Layer> layers_;
  const __nv_bfloat16* embedding_ = nullptr;
  kernels::Matrix head_;
  const __nv_bfloat16* norm_ = nullptr;
  std::optional<kernels::Matrix> audio_;
  std::optional<Vision> vision_;
  double upload_seconds_ = 0.0;
};

}  // namespace captiond
