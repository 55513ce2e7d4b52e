#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/matrix.h"
#include "model/kernels/normed_rows.h"
#include "model/kernels/row_packing.h"

namespace captiond::kernels {

struct NormBehind;
struct RotationBehind;

// Scratch of one stream: device memory, 256-byte aligned, zeroed once before its first use and then
// left to the products alone.
struct ProductWorkspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

// What a model asks for, to plan ahead.
struct ProductShape {
  MatrixFormat format = MatrixFormat::kBf16;
  int out = 0;  // of a gate-up matrix: 2 * inner
  int in = 0;
  bool gate_up = false;
};

// The matrices of a feed-forward block: gate and up [2 * inner, hidden], down [hidden, inner].
struct FeedForward {
  Matrix up;
  Matrix down;
};

// One row's choice: the first of the largest logits among the ids that are not suppressed, and
// whether every logit (suppressed or not) is finite. When not finite, `token` means nothing.
struct GreedyChoice {
  std::int32_t token = 0;
  std::int32_t finite = 0;  // 0 or 1
};

// The head: a tied embedding [vocab, hidden] with logits = softcap * tanh(x · Eᵀ / softcap).
struct Head {
  Matrix embedding;
  float softcap = 0.0F;                       // 0: none
  const std::uint32_t* suppressed = nullptr;  // [ceil(vocab / 32)] bits, device; null: none
};

// The matrix products of a forward pass: y = x · Wᵀ and what stands in their tails.
//
// All activations are row-major, contiguous, device, 16-byte aligned. Everything is summed in
// float32 and rounded once at the end unless said otherwise. Three ways, by the number of rows;
// bits differ between them:
//
//   few    up to 4: kernels of ours that stream the weights, with x in bf16. Packed weights (in of
//          up to 19,000) have a way of their own: there x is rounded to about 15 bits below the
//          largest of 128 (kInt4: 256) neighbours, see split_input.cuh
//   tiles  up to 256, and any number in a head of 32,768 tokens or more, there in portions of 128:
//          kernels of ours on tensor cores
//   many   more go to cuBLASLt, with one algorithm for each shape and bucket of rows (see
//          gemm.h), so that the same call gives the same bits; in kFp8 gate and up, and linear
//          layers whose tiles fill the device, to kernels of ours (wide_rows.h)
//
// Of few rows and tiles a row's bits depend neither on the other rows nor on their number. In tiles
// and in many, kFp8 multiplies e4m3 with e4m3, the rows of x packed with a scale each, and kInt4
// rounds each weight times its scale to bf16; so does kInt8 in many, where both are unpacked first,
// while its tiles multiply with whole numbers and scale the sums. Matrices whose outputs (of gate
// and up: their products) are no multiple of 8 (kFp8: 16) are streamed whatever the rows.
//
// One object for one device; calls enqueue and return, allocate nothing and may be captured in a
// CUDA graph once plan() has seen the shape. Weights are read before the kernels enqueued earlier
// have ended: whoever writes them synchronises before the first product with them. Not thread-safe.
// Calls throw std::invalid_argument for a shape or workspace they cannot serve, and CudaError when
// a launch fails.
class MatrixProducts {
 public:
  // Rows of one launch of our kernels.
  static constexpr int kFewRowsMax = 64;

  // For the current device. Throws std::runtime_error when its compute capability is not 9.x.
  MatrixProducts();
  ~MatrixProducts();
  MatrixProducts(const MatrixProducts&) = delete;
  MatrixProducts& operator=(const MatrixProducts&) = delete;

  // Chooses the algorithms for `shapes` with up to `rows_max` rows. Returns the bytes of workspace
  // that any call with these shapes and at most that many rows (and any head of them) needs.
  std::size_t plan(std::span<const ProductShape> shapes, int rows_max);

  // Whether a product of so many rows packs them: kFp8 beyond few rows. Whoever has them packed
  // already gives them so, to the overloads below, which give the same bits.
  static bool takes_packed(const Matrix& w, bool gate_up, int rows);

  // y[r, o] = Σ x[r, i] * W[o, i] for `rows` rows; x [rows, in], y [rows, out]. x and y are apart.
  void linear(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows,
              ProductWorkspace workspace, cudaStream_t stream);
  void linear(const Matrix& w, const PackedRows& x, __nv_bfloat16* y, int rows,
              ProductWorkspace workspace, cudaStream_t stream);
  void linear(const Matrix& w, const __nv_bfloat16* x, float* y, int rows,
              ProductWorkspace workspace, cudaStream_t stream);

  // Whether the norms between products are made by them: `before` leaves the squares of what it
  // writes, and `behind` takes rows in front of a norm. For up to kNormedRowsMax rows. What comes
  // out has other bits than with norms as kernels, in kBf16 too: x is rounded in front of the
  // second norm's factor, not behind it (normed_rows.h).
  static constexpr int kNormedRowsMax = 4;
  static bool makes_norms(const Matrix& before, const Matrix& behind);
  // Numbers a row that a product leaves, of float32.
  int square_slots(const Matrix& w) const;

  // linear() that leaves them in squares [rows, square_slots(w)], zeroed once before its first use
  // (`behind_attention`: the kernel in front hardly reads memory, so weights are asked for before
  // it has ended); and linear() and gate_up() of rows in front of a norm.
  void linear(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, float* squares, int rows,
              bool behind_attention, cudaStream_t stream);
  void linear(const Matrix& w, const NormedRows& x, __nv_bfloat16* y, int rows,
              cudaStream_t stream);
  void gate_up(const Matrix& w, const NormedRows& x, __nv_bfloat16* h, int rows,
               cudaStream_t stream);

  // h[r, j] = gelu_tanh(gate[r, j]) * up[r, j]; x [rows, in], h [rows, out / 2]. Rounded to bf16
  // where transformers rounds: gate and up after their sums, the gelu, the product.
  void gate_up(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* h, int rows,
               ProductWorkspace workspace, cudaStream_t stream);

  // linear(down, gate_up(up, x)), the same bits; y [rows, hidden], which may be x. `h` [rows,
  // inner] is scratch.
  void feed_forward(const FeedForward& w, const __nv_bfloat16* x, __nv_bfloat16* h,
                    __nv_bfloat16* y, int rows, ProductWorkspace workspace, cudaStream_t stream);
  void feed_forward(const FeedForward& w, const PackedRows& x, __nv_bfloat16* h, __nv_bfloat16* y,
                    int rows, ProductWorkspace workspace, cudaStream_t stream);

  // Products whose last phase does what else were a kernel behind them, with the same bits, by
  // blocks that wait for each other (grid_arrivals.h), in tiles: norms of the rows that a linear
  // product wrote (norm_behind.h), the packing of gate and up's products (packed_gate_up.h).
  // Whether a product of so many rows can, and the products.
  bool norms_behind(const Matrix& w, int rows);
  void linear(const Matrix& w, const __nv_bfloat16* x, const NormBehind& behind, int rows,
              ProductWorkspace workspace, cudaStream_t stream);
  void linear(const Matrix& w, const PackedRows& x, const NormBehind& behind, int rows,
              cudaStream_t stream);
  // Norm, rope and the way into the pages of what the projections are (rotation_behind.h).
  bool rotates_behind(const Matrix& w, int rows);
  void linear(const Matrix& w, const __nv_bfloat16* x, const RotationBehind& behind, int rows,
              ProductWorkspace workspace, cudaStream_t stream);
  void linear(const Matrix& w, const PackedRows& x, const RotationBehind& behind, int rows,
              cudaStream_t stream);
  bool packs_behind(const Matrix& up, int rows);
  void gate_up(const Matrix& w, const PackedRows& x, const PackedRows& h, unsigned* arrivals,
               int rows, cudaStream_t stream);
  // gate_up() of packed rows in tiles.
  void gate_up(const Matrix& w, const PackedRows& x, __nv_bfloat16* h, int rows,
               cudaStream_t stream);

  // logits [rows, vocab] float32, softcapped, nothing suppressed; nothing is rounded to bf16.
  void head_logits(const Head& head, const __nv_bfloat16* x, float* logits, int rows,
                   ProductWorkspace workspace, cudaStream_t stream);

  // choices [rows], of the very logits that head_logits() writes, without writing them.
  void head_greedy(const Head& head, const __nv_bfloat16* x, GreedyChoice* choices, int rows,
                   ProductWorkspace workspace, cudaStream_t stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace captiond::kernels
