#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

struct GreedyChoice;

// y[r, :] = table[id, :] * scale, rounded to bf16, where id = ids[r]. A soft token that the model
// itself chose is looked up as the pad id. Rows of id -1 (audio, pictures, padding) are left alone.
// An id of -2 - i stands for the token of choices[i], or the pad id where that is not finite.
// Source: reference model.md 2.2.
struct TokenEmbedding {
  const __nv_bfloat16* table = nullptr;   // [vocabulary, width], device, 16-byte aligned
  const int* ids = nullptr;               // [rows], device, negative or below the vocabulary's size
  const GreedyChoice* choices = nullptr;  // device; needed where an id is below -1
  __nv_bfloat16* y = nullptr;             // [rows, width], 16-byte aligned
  int width = 0;                          // a multiple of 8
  float scale = 1.0F;                     // already rounded to bf16: 62.0 for width 3840
  int soft_tokens[3] = {-1, -1, -1};      // image, audio and video; -1: none
  int pad_token = 0;
};

// Begins after everything that was enqueued before has ended, and lets no later kernel begin until
// then: so what comes from before the step may be read without waiting in all kernels behind it.
// Enqueues and returns; cudaErrorInvalidValue for a bad shape.
[[nodiscard]] cudaError_t embed_tokens(const TokenEmbedding& embedding, int rows,
                                       cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
