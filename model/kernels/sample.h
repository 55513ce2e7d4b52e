#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "model/kernels/draw.h"

namespace captiond::kernels {

struct GreedyChoice;

// choices [rows]: of each row's logits the token that its draw takes, the very one that Sampler
// takes, and whether every logit (suppressed or not) is finite. A row in which an id is not finite,
// or in which all are suppressed, has finite = 0 and no token.
//
// A block a row, and rows side by side: one pass over the logits for the largest and one for the
// weights, three more for top_k above 1 and three more for top_p. A pass reads 1 MB of 262,144
// logits at what one multiprocessor gets out of the L2 cache, 64 bytes a clock: 10 µs; one with
// weights computes some 30 instructions a logit: 35 µs. So about 50 µs for temperature alone, 25
// for a greedy row and 80 with top_k, for one row as for 132; with top_p 160, and up to twice that
// where most logits share a few exponents, as their weights then meet in the same bins. All of this
// is estimated, not measured.
struct Sample {
  const float* logits = nullptr;              // [rows, vocabulary], device
  int vocabulary = 0;                         // 1 to 2^23
  const std::uint32_t* suppressed = nullptr;  // device, bit i % 32 of word i / 32; null: none
  const Draw* draws = nullptr;                // [rows], device
  GreedyChoice* choices = nullptr;            // [rows], device
};

// Enqueues and returns; cudaErrorInvalidValue for a bad shape, else the launch status.
[[nodiscard]] cudaError_t sample(const Sample& work, int rows, cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
