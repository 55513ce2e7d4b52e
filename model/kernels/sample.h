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
// draw, three more for top_k above 1 and three more for top_p. Of 262,144 logits on an H200 that
// takes 65 µs for a greedy row, 118 with a temperature, 154 with top_k as well and 250 to 320 with
// top_p, for one row as for 32; 83 to 383 for 128 (bench_sampling).
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
