#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>

namespace captiond::kernels {

// Positions of a KV page; model/ asserts that it is its own kPagePositions.
inline constexpr int kKvPagePositions = 16;

enum class KvFormat { kBf16, kFp8 };

// What a value is multiplied by before it is stored as e4m3, whose greatest number is 448: values
// are normed without a weight, so none of up to 512 is beyond sqrt(512) = 22.6.
inline constexpr float kFp8ValueScale = 16.0F;

// The same for keys or queries that are normed with weights of up to `weight_max`, then rotated:
// the greatest power of two that keeps all of them, with 3 % for roundings, within 448. 1 where
// all weights are zero. A scale for each position would gain nothing: e4m3 is as fine anywhere
// between 2^-6 and 448.
float fp8_scale(float weight_max, int head_dim);

// The pages of one layer on the device; all layers of a group have one page id for the same
// positions. Keys are normed and rotated, values normed. Owned by the caller, 16-byte aligned.
//
// bf16: [pages, 2 (keys, values), kv_heads, kKvPagePositions, head_dim].
//
// fp8: [pages, kv_heads, 2 (keys, values)] of e4m3 numbers, times key_scale and kFp8ValueScale, as
// the tensor cores want them from shared memory: 16-byte pieces, eight to a core matrix. A key's
// pieces are 16 dims; eight keys by all dims, then the other eight. A value's piece is one dim of
// all positions, in the order of fp8_place(), so that weights in registers meet their values. head
// dims are padded to a multiple of 16 (with whatever).
//
// Layers whose value is their key (the full layers of the 12B) store both: K and V differ by norm
// weight and rotation. Later they may be packed into 640 of 1,024 values (V and the 128 rotated
// ones of K): reference performance.md 1.3.
struct KvLayer {
  void* base = nullptr;
  int kv_heads = 0;
  int head_dim = 0;
  KvFormat format = KvFormat::kBf16;
  float key_scale = 1.0F;    // fp8 only: fp8_scale() of the norm weight of keys,
  float query_scale = 1.0F;  // and of queries, which meet them as pairs of e4m3 numbers

  __host__ __device__ constexpr std::size_t page_values() const {  // bf16
    return std::size_t{2} * kv_heads * kKvPagePositions * head_dim;
  }
  // Keys, or values, of one head in an fp8 page.
  __host__ __device__ constexpr std::size_t fp8_half_bytes() const {
    const int padded = (head_dim + 15) / 16 * 16;
    return std::size_t{kKvPagePositions} * static_cast<std::size_t>(padded);
  }
  __host__ __device__ constexpr std::size_t page_bytes() const {
    return format == KvFormat::kBf16 ? page_values() * sizeof(__nv_bfloat16)
                                     : std::size_t{2} * kv_heads * fp8_half_bytes();
  }
};

// Where position `line` of a page stands in a 16-byte piece of values: 2 i, 2 i + 1, 8 + 2 i and
// 9 + 2 i side by side, as the lane that has them in the result of one product wants them for the
// next.
__host__ __device__ constexpr int fp8_place(int line) {
  return line % 8 / 2 * 4 + line / 8 * 2 + line % 2;
}
// Bytes from the beginning of a head's keys (or values) to one number.
__host__ __device__ constexpr int fp8_key_offset(int line, int dim, int head_dim) {
  const int padded = (head_dim + 15) / 16 * 16;
  return line / 8 * 8 * padded + dim / 16 * 128 + line % 8 * 16 + dim % 16;
}
__host__ __device__ constexpr int fp8_value_offset(int line, int dim) {
  return dim * kKvPagePositions + fp8_place(line);
}

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
