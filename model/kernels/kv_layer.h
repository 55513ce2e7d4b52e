#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>

namespace captiond::kernels {

// Positions of a KV page; model/ asserts that it is its own kPagePositions.
inline constexpr int kKvPagePositions = 16;

// The pages of one layer, bf16, device: [pages, 2 (keys, values), kv_heads, kKvPagePositions,
// head_dim]. So the keys of a page and head are one run of 16 * head_dim values, and so are the
// values; all layers of a group have one page id for the same positions. Keys are normed and
// rotated, values normed. Owned by the caller, 16-byte aligned.
//
// Layers whose value is their key (the full layers of the 12B) store both: K and V differ by norm
// weight and rotation. Later they may be packed into 640 of 1,024 values (V and the 128 rotated
// ones of K): reference performance.md 1.3.
struct KvLayer {
  __nv_bfloat16* base = nullptr;
  int kv_heads = 0;
  int head_dim = 0;

  __host__ __device__ constexpr std::size_t page_values() const {
    return std::size_t{2} * kv_heads * kKvPagePositions * head_dim;
  }
};

// One row of a step on the layers of one group, as the kernels need it. 16 bytes; the host fills an
// array of them per group and step and uploads it once for all layers.
//
// A row sees the keys first_key … end_key - 1 and no others: the causal rule, the window and the
// pictures that see themselves both ways make one run in every VisionMask (model/visibility.h).
// Page ids stand in a flat array: that of position p is pages[page_begin + p / kKvPagePositions],
// where page_begin may be negative when early pages are gone. A row of position -1 is padding: it
// writes no keys and values and its attention is zero.
//
// Rows and page ids are constants of a step: kernels read them while the kernel before still runs,
// so they come by a copy that is enqueued before the step's first kernel, not from a kernel.
struct alignas(16) KvRow {
  std::int32_t position = -1;
  std::int32_t page_begin = 0;
  std::int32_t first_key = 0;
  std::int32_t end_key = 0;
};

}  // namespace captiond::kernels
