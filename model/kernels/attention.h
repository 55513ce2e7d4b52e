#pragma once

#include <cstddef>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/kv_layer.h"
#include "model/kernels/rotary.h"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {

// Attention of a step's rows on one layer: out[r, h] = softmax(query[r, h] · Kᵀ) V over the keys
// that the row sees (KvRow), of KV head h / (heads / kv_heads). Scores are not scaled; they and the
// softmax are float32; for the product with V the probabilities are rounded to bf16 (not by
// attend_plain()). The rows' own keys and values are in their pages already. Source: reference
// model.md 2.3 and 2.5.
//
// Three kernels, one result within rounding. In each, a row's bits depend on nothing but its own
// query, keys and visible run: neither on its neighbours nor on where it stands in the step.
struct Attention {
  const __nv_bfloat16* query = nullptr;  // [rows, heads, head_dim], 16-byte aligned
  __nv_bfloat16* out = nullptr;          // [rows, heads, head_dim], 16-byte aligned, not `query`
  KvLayer kv;                            // read
  const KvRow* rows = nullptr;           // [rows], device
  const int* pages = nullptr;            // flat page ids, device
  int heads = 0;                         // a multiple of kv.kv_heads
};

// Any even head_dim up to 512, any number of query heads: plain loops, the oracle of the others on
// the device and the way of small checkpoints. Rows 0 … count - 1.
[[nodiscard]] cudaError_t attend_plain(const Attention& work, int count,
                                       cudaStream_t stream) noexcept;

// -- A few rows, each with keys of its own.

// Head dims 256 and 512, at most 16 query heads on a KV head.
[[nodiscard]] bool decode_attention_supports(int heads, int kv_heads, int head_dim) noexcept;

// Whether attend_decode() packs rows of heads * head_dim = `width`.
constexpr bool decode_attention_packs(int width) { return width % 256 == 0 && width <= 8192; }

// The keys of a row are split into runs of a length that depends on the row's own number of visible
// keys alone; at most this many.
inline constexpr int kAttentionSplitsMax = 64;

// Device memory that attend_decode() uses for `count` rows that see at most `keys_max` keys.
// Zeroed once by the caller; then every call leaves it ready for the next one. One for all layers
// of a stream (of the same or of different kinds: the greatest size counts).
[[nodiscard]] std::size_t decode_workspace_bytes(int heads, int head_dim, int count,
                                                 int keys_max) noexcept;

struct DecodeRows {
  const int* list = nullptr;  // [count] rows of the step, device, -1: padding; null: 0 … count - 1
  int count = 0;              // at most 8192 / kv_heads
  int keys_max = 0;           // sizes the grid, of a captured graph too; a row that sees more traps
  void* workspace = nullptr;  // decode_workspace_bytes(), 16-byte aligned
  // For rows that go on to a product in e4m3: `out` is packed here as pack_rows() packs it, and
  // holds it in bf16 only in part. [rows of the step, heads * head_dim], of which
  // decode_attention_packs() says that it can be. Not of rotate_and_attend().
  PackedRows packed = {};
  bool may_wait = true;  // whether its blocks may wait for each other (grid_arrivals.h)
};

// Split over keys, combined in a fixed order. Keys and values are read once for all query heads of
// their KV head.
[[nodiscard]] cudaError_t attend_decode(const Attention& work, const DecodeRows& rows,
                                        cudaStream_t stream) noexcept;

// Over fp8 pages: at most 4 query heads on a KV head, at most 256 rows.
[[nodiscard]] bool rotate_and_attend_supports(int heads, const KvLayer& kv) noexcept;

// rotate_and_store() and attend_decode() in one, bit for bit, for rows that are each the only one
// of their sequence in the step and see nothing behind themselves (end_key is position + 1). Keys
// and values of earlier positions are read while kernels before this one still run: they must have
// been written before the step's embed_tokens(). `query` of `rotate` is not used.
// On the 12B's sliding layers it saves 0.7 us of 8.9 at one row and 2.1 of 11.8 at two (fp8: 2.2 of
// 9.0 and 2.1 of 10.0); on its full ones it costs 0.9 by itself (bench_attention on an H200), but
// stands beside the product in front. With more rows it costs, as each split makes the queries
// anew, but for fp8 up to 32 rows.
[[nodiscard]] cudaError_t rotate_and_attend(const RotateAndStore& rotate, __nv_bfloat16* out,
                                            const DecodeRows& rows, cudaStream_t stream) noexcept;

// -- Many rows of one sequence.

// Head dims 256 and 512; heads / kv_heads is 1, 2, 4, 8 or 16.
[[nodiscard]] bool prefill_attention_supports(int heads, int kv_heads, int head_dim) noexcept;

// Consecutive rows of one slice, ascending positions and visible runs. count 0: padding.
struct AttentionTile {
  int first_row = 0;
  int count = 0;  // at most kAttentionTileRows
};
inline constexpr int kAttentionTileRows = 64;

struct PrefillTiles {
  const AttentionTile* tiles = nullptr;  // [count], device; the same for both groups
  int count = 0;
};

// On tensor cores, one block for kAttentionTileRows rows of a KV head (or fewer rows where many
// query heads share one).
[[nodiscard]] cudaError_t attend_prefill(const Attention& work, const PrefillTiles& tiles,
                                         cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
