#pragma once

#include <cstddef>
#include <cstdint>

#include "model/kernels/attention.h"
#include "model/kernels/decode_splits.cuh"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/row_packing.cuh"
#include "model/kernels/row_values.cuh"

// The kernel that puts the splits of decode attention together, for rows that go on to a product in
// e4m3: a block has a whole row, so that it knows the largest of it.

namespace captiond::kernels::decode {

// A block a row of the list, a thread eight dims. Count and Together as combine_kernel(); rows of
// one split, and heads that Together says are written, are taken from work.out. Rows of the list
// that are padding are left as they are.
template <typename Count, typename Together, int kThreads>
__global__ void __launch_bounds__(kThreads)
    combine_and_pack_kernel(const Attention work, const int* list, const Partial partial,
                            const PackedRows packed) {
  constexpr int kDims = 8;
  __shared__ std::uint32_t scratch[32];
  let_next_kernel_start();
  const int listed = list == nullptr ? static_cast<int>(blockIdx.x) : list[blockIdx.x];
  const int splits = Count::of(work.rows[max(listed, 0)]);
  const int thread = static_cast<int>(threadIdx.x), head_dim = work.kv.head_dim;
  const int head = thread * kDims / head_dim, dim = thread * kDims % head_dim;
  const std::size_t width = static_cast<std::size_t>(work.heads) * head_dim;
  wait_for_previous_kernels();  // padding too: this kernel's end says that those before have ended
  if (listed < 0) return;
  float x[kDims];
  if (splits > 1 &&
      Together::eight(partial, static_cast<std::size_t>(blockIdx.x) * work.heads + head, splits,
                      head_dim, dim, x)) {
    round_values(x);
  } else {
    const uint4 raw = __ldcg(reinterpret_cast<const uint4*>(
        work.out + static_cast<std::size_t>(listed) * width + thread * kDims));
    load_values(reinterpret_cast<const __nv_bfloat16*>(&raw), x);
  }
  std::uint32_t most = 0;
#pragma unroll
  for (const float value : x) most = max(most, size_of(value));
  const float scale = scale_of_row(block_most(most, scratch));
  if (thread == 0) packed.scales[listed] = scale;
  reinterpret_cast<uint2*>(static_cast<char*>(packed.values) +
                           static_cast<std::size_t>(listed) * width)[thread] =
      Divisor(scale).packed(x);
}

// decode_attention_packs(): whole warps, at most 1,024 threads.
inline bool can_combine_and_pack(const Attention& work, const DecodeRows& rows) {
  return rows.packed.scales != nullptr && decode_attention_packs(work.heads * work.kv.head_dim);
}

// Enqueues what the blocks that attend leave to do.
template <typename Count, typename Together>
cudaError_t launch_together(const Attention& work, const DecodeRows& rows, const Partial& partial,
                            cudaStream_t stream) {
  if (rows.packed.values == nullptr)
    return launch_combine<Count, Together>(work, rows, partial, stream);
  const auto threads = static_cast<unsigned>(work.heads * work.kv.head_dim / 8);
  return launch(threads <= 512 ? combine_and_pack_kernel<Count, Together, 512>
                               : combine_and_pack_kernel<Count, Together, 1024>,
                {.blocks = static_cast<unsigned>(rows.count), .threads = threads}, stream, work,
                rows.list, partial, rows.packed);
}

}  // namespace captiond::kernels::decode
