// Norm, rope and the way into the KV pages: a warp takes one head, its values in registers. A lane
// holds pairs (i, i + head_dim / 2), so that rope needs no exchange.

#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/rotary.h"
#include "model/kernels/row_values.cuh"

namespace captiond::kernels {
namespace {

constexpr int kWarps = 4;  // a block

// kVector pairs side by side in a lane, kSteps times. head_dim / 2 is 32 * kVector * kSteps, or
// less when kVector is 1.
template <int kVector, int kSteps>
struct Head {
  float low[kSteps][kVector];   // pair i
  float high[kSteps][kVector];  // pair i + head_dim / 2

  static __device__ int pair(int step) {
    return (step * 32 + static_cast<int>(threadIdx.x % 32)) * kVector;
  }

  __device__ void load(const __nv_bfloat16* from, int half) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      load_part(from, pair(s), half, low[s]);
      load_part(from + half, pair(s), half, high[s]);
    }
  }
  __device__ void store(__nv_bfloat16* to, int half) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      store_part(to, pair(s), half, low[s]);
      store_part(to + half, pair(s), half, high[s]);
    }
  }

 private:
  struct alignas(2 * kVector) Part {
    __nv_bfloat16 values[kVector];
  };
  static __device__ void load_part(const __nv_bfloat16* from, int first, int half,
                                   float (&to)[kVector]) {
    Part part = {};
    if (kVector > 1 || first < half) part = *reinterpret_cast<const Part*>(from + first);
#pragma unroll
    for (int i = 0; i < kVector; ++i) to[i] = __bfloat162float(part.values[i]);
  }
  static __device__ void store_part(__nv_bfloat16* to, int first, int half,
                                    const float (&from)[kVector]) {
    Part part;
#pragma unroll
    for (int i = 0; i < kVector; ++i) part.values[i] = __float2bfloat16(from[i]);
    if (kVector > 1 || first < half) *reinterpret_cast<Part*>(to + first) = part;
  }
};

// rms(head) * weight, rounded; without weight unless kWeighted.
template <bool kWeighted, int kVector, int kSteps>
__device__ Head<kVector, kSteps> normed(Head<kVector, kSteps> head,
                                        const Head<kVector, kSteps>& weight, float scale) {
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float low = head.low[s][i] * scale;
      const float high = head.high[s][i] * scale;
      head.low[s][i] = rounded(kWeighted ? low * weight.low[s][i] : low);
      head.high[s][i] = rounded(kWeighted ? high * weight.high[s][i] : high);
    }
  }
  return head;
}

// Cosine and sine of a lane's pairs at one position; pairs that do not turn have 1 and 0.
template <int kVector, int kSteps>
struct Turn {
  float cosine[kSteps][kVector];
  float sine[kSteps][kVector];

  __device__ void compute(const RotateAndStore& work, int position) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const int pair = Head<kVector, kSteps>::pair(s) + i;
        cosine[s][i] = 1.0F;
        sine[s][i] = 0.0F;
        if (pair >= work.rotary_pairs) continue;
        // The accurate form: angles reach the number of positions.
        sincosf(static_cast<float>(position) * work.inverse_frequency[pair], &sine[s][i],
                &cosine[s][i]);
        sine[s][i] = rounded(sine[s][i]);
        cosine[s][i] = rounded(cosine[s][i]);
      }
    }
  }

  __device__ void apply(Head<kVector, kSteps>& head) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float low = head.low[s][i];
        const float high = head.high[s][i];
        head.low[s][i] = rounded(rounded(low * cosine[s][i]) + rounded(high * -sine[s][i]));
        head.high[s][i] = rounded(rounded(high * cosine[s][i]) + rounded(low * sine[s][i]));
      }
    }
  }
};

// Where the keys of the row's position and `kv_head` stand; the values are `values` later.
__device__ __nv_bfloat16* slot(const RotateAndStore& work, const KvRow& row, int kv_head) {
  const int page = work.pages[row.page_begin + row.position / kKvPagePositions];
  const std::size_t line =
      static_cast<std::size_t>(kv_head) * kKvPagePositions + row.position % kKvPagePositions;
  return work.kv.base + page * work.kv.page_values() + line * work.kv.head_dim;
}

template <int kVector, int kSteps>
__global__ void __launch_bounds__(kWarps * 32) rotate_and_store_kernel(const RotateAndStore work) {
  let_next_kernel_start();
  const int dim = work.kv.head_dim;
  const int half = dim / 2;
  const int kv_heads = work.kv.kv_heads;
  const int head_count = work.heads + (work.value_is_key ? 1 : 2) * kv_heads;
  const int index = static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (index >= head_count) return;
  const std::size_t step_row = blockIdx.x;
  const KvRow row = work.rows[step_row];
  const bool is_query = index < work.heads;
  Turn<kVector, kSteps> turn;
  Head<kVector, kSteps> weight;
  const bool is_key = !is_query && index < work.heads + kv_heads;
  if (row.position >= 0 && (is_query || is_key)) {
    turn.compute(work, row.position);
    weight.load(is_query ? work.query_weight : work.key_weight, half);
  }
  wait_for_previous_kernels();
  if (row.position < 0) return;

  Head<kVector, kSteps> head;
  head.load(work.projected + (step_row * head_count + index) * dim, half);
  float sum = 0.0F;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      sum += head.low[s][i] * head.low[s][i] + head.high[s][i] * head.high[s][i];
    }
  }
  const float scale = 1.0F / sqrtf(warp_sum(sum) / static_cast<float>(dim) + work.eps);

  const std::size_t values = work.kv.page_values() / 2;
  const int kv_head = (index - work.heads) % kv_heads;
  if (!is_query && (!is_key || work.value_is_key)) {
    normed<false>(head, weight, scale).store(slot(work, row, kv_head) + values, half);
  }
  if (!is_query && !is_key) return;
  head = normed<true>(head, weight, scale);
  turn.apply(head);
  __nv_bfloat16* to =
      is_query ? work.query + (step_row * work.heads + index) * dim : slot(work, row, kv_head);
  head.store(to, half);
}

template <int kVector, int kSteps>
cudaError_t launch_heads(const RotateAndStore& work, int rows, cudaStream_t stream) {
  const int heads = work.heads + (work.value_is_key ? 1 : 2) * work.kv.kv_heads;
  const dim3 grid(static_cast<unsigned>(rows),
                  static_cast<unsigned>((heads + kWarps - 1) / kWarps));
  return launch(rotate_and_store_kernel<kVector, kSteps>, {.blocks = grid, .threads = kWarps * 32},
                stream, work);
}

}  // namespace

cudaError_t rotate_and_store(const RotateAndStore& work, int rows, cudaStream_t stream) noexcept {
  const bool complete = work.projected != nullptr && work.query_weight != nullptr &&
                        work.key_weight != nullptr && work.inverse_frequency != nullptr &&
                        work.query != nullptr && work.kv.base != nullptr && work.rows != nullptr &&
                        work.pages != nullptr;
  const int dim = work.kv.head_dim;
  const bool shaped = dim > 0 && dim % 2 == 0 && dim <= 512 && work.heads > 0 &&
                      work.kv.kv_heads > 0 && work.rotary_pairs >= 0 &&
                      work.rotary_pairs <= dim / 2 && rows > 0;
  if (!complete || !shaped || work.projected == work.query) return cudaErrorInvalidValue;
  if (dim == 512) return launch_heads<8, 1>(work, rows, stream);
  if (dim == 256) return launch_heads<4, 1>(work, rows, stream);
  return launch_heads<1, 8>(work, rows, stream);
}

}  // namespace captiond::kernels
