// Token embedding: a block a row, eight values a thread.

#include <algorithm>
#include <cstddef>

#include "model/kernels/embedding.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kThreadsMax = 512;

__global__ void __launch_bounds__(kThreadsMax) embed_tokens_kernel(const TokenEmbedding embedding) {
  wait_for_previous_kernels();
  let_next_kernel_start();
  int id = embedding.ids[blockIdx.x];
  if (id == -1) return;
  if (id < -1) {
    const GreedyChoice choice = embedding.choices[-2 - id];
    id = choice.finite != 0 ? choice.token : embedding.pad_token;
  }
  for (const int soft : embedding.soft_tokens) {
    if (id == soft) id = embedding.pad_token;
  }
  const __nv_bfloat16* from = embedding.table + static_cast<std::size_t>(id) * embedding.width;
  __nv_bfloat16* to = embedding.y + static_cast<std::size_t>(blockIdx.x) * embedding.width;
  for (int column = static_cast<int>(threadIdx.x) * kLane; column < embedding.width;
       column += static_cast<int>(blockDim.x) * kLane) {
    float x[kLane];
    load_values(from + column, x);
#pragma unroll
    for (float& value : x) value *= embedding.scale;
    store_values(to + column, x);
  }
}

}  // namespace

cudaError_t embed_tokens(const TokenEmbedding& embedding, int rows, cudaStream_t stream) noexcept {
  const bool complete =
      embedding.table != nullptr && embedding.ids != nullptr && embedding.y != nullptr;
  if (!complete || rows <= 0 || embedding.width <= 0 || embedding.width % kLane != 0) {
    return cudaErrorInvalidValue;
  }
  const unsigned threads = std::min<unsigned>(kThreadsMax, threads_of_row(embedding.width));
  return launch(embed_tokens_kernel, {.blocks = static_cast<unsigned>(rows), .threads = threads},
                stream, embedding);
}

}  // namespace captiond::kernels
