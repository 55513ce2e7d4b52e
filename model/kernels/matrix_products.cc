#include "model/kernels/matrix_products.h"

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "model/kernels/cuda_error.h"
#include "model/kernels/few_rows.h"
#include "model/kernels/gelu_product.h"
#include "model/kernels/gemm.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/norm_behind.h"
#include "model/kernels/pack_matrix.h"
#include "model/kernels/packed_gate_up.h"
#include "model/kernels/rotation_behind.h"
#include "model/kernels/row_packing.h"
#include "model/kernels/tensor_map.h"
#include "model/kernels/wide_rows.h"

namespace captiond::kernels {
namespace {

constexpr std::size_t kAlignment = 256;
// Rows in front of a norm that products make go to the kernels of split_stream.cuh.
static_assert(MatrixProducts::kNormedRowsMax <= kSplitRowsMax);

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::string shape_of(const Matrix& w, int rows) {
  return std::to_string(rows) + (rows == 1 ? " row" : " rows") + " with a matrix [" +
         std::to_string(w.out) + ", " + std::to_string(w.in) + "]";
}

// Up to kSplitRowsMax rows the weights are streamed, in portions of kFewRowsMax rows, and up to
// kManyRowsMax the tiles of many_rows.h take them, whose last phases keep a layer at six kernels;
// 256 rows would be faster otherwise (docs/performance.md). The other ways take outputs of whole 16
// bytes only: matrices that have none are streamed whatever the number of rows.
int streamed_rows_max(const Matrix& w, bool gate_up) {
  const int outputs = gate_up ? w.out / 2 : w.out;
  const int whole = w.format == MatrixFormat::kFp8 ? 16 : 8;
  return outputs % whole == 0 ? kSplitRowsMax : std::numeric_limits<int>::max();
}

// Whether the tiles take these rows, if they are not streamed.
bool in_tiles(int rows) { return rows <= kManyRowsMax; }

// Whether more rows than the tiles take meet weights that were unpacked to bf16.
bool unpacks(MatrixFormat format) {
  return format == MatrixFormat::kInt8 || format == MatrixFormat::kInt4;
}

// Whether a head's rows go to the tiles: they are not split there, so that few would leave most of
// the device idle.
bool head_in_tiles(const Matrix& w, int rows) {
  constexpr int kVocabularyMin = 32768;
  return w.out >= kVocabularyMin && rows > streamed_rows_max(w, false);
}

// Calls body(first, count) for portions of at most `most` of `rows` rows.
template <typename Body>
void in_portions(int rows, const Body& body, int most = MatrixProducts::kFewRowsMax) {
  for (int first = 0; first < rows; first += most)
    body(static_cast<std::size_t>(first), std::min(rows - first, most));
}

// The parts of a workspace, in this order: what the greedy head keeps zeroed, its choices of many
// rows, cuBLASLt's own, an unpacked matrix (kInt8, kInt4) or packed rows and their scales (kFp8),
// gate and up before their tail (not kFp8).
struct Parts {
  std::size_t greedy = 0, greedy_many = 0, gemm = 0, matrix = 0, row_scales = 0, gate_up = 0;

  // For a head of `w` with any number of rows.
  static Parts of_head(const Matrix& w, int blocks) {
    Parts parts{.greedy = aligned(greedy_scratch_bytes(blocks)),
                .greedy_many = aligned(greedy_many_scratch_bytes(blocks))};
    if (w.format == MatrixFormat::kFp8) parts.add_rows(w, kHeadRowsMax);
    return parts;
  }
  static Parts of(const Matrix& w, bool gate_up, int rows, int blocks) {
    Parts parts = of_head(w, blocks);
    if (rows <= streamed_rows_max(w, gate_up)) return parts;
    const auto out = static_cast<std::size_t>(w.out), in = static_cast<std::size_t>(w.in);
    if (w.format == MatrixFormat::kFp8) parts.add_rows(w, rows);
    if (in_tiles(rows)) return parts;
    parts.gemm = aligned(Gemm::kWorkspaceBytes);
    if (unpacks(w.format)) parts.matrix = aligned(out * in * sizeof(__nv_bfloat16));
    if (gate_up && w.format != MatrixFormat::kFp8)
      parts.gate_up = aligned(out * static_cast<std::size_t>(rows) * sizeof(__nv_bfloat16));
    return parts;
  }
  void add_rows(const Matrix& w, int rows) {
    const MatrixBytes bytes = matrix_bytes(w.format, rows, w.in);
    matrix = std::max(matrix, aligned(bytes.values));
    row_scales = std::max(row_scales, aligned(bytes.scales));
  }
  void add(const Parts& other) {
    greedy = std::max(greedy, other.greedy);
    greedy_many = std::max(greedy_many, other.greedy_many);
    gemm = std::max(gemm, other.gemm);
    matrix = std::max(matrix, other.matrix);
    row_scales = std::max(row_scales, other.row_scales);
    gate_up = std::max(gate_up, other.gate_up);
  }
  std::size_t sum() const { return greedy + greedy_many + gemm + matrix + row_scales + gate_up; }
};

void check_workspace(const ProductWorkspace& workspace, const Parts& parts, const Matrix& w,
                     int rows) {
  if (workspace.data != nullptr && workspace.bytes >= parts.sum()) return;
  throw std::invalid_argument("The product of " + shape_of(w, rows) + " needs a workspace of " +
                              std::to_string(parts.sum()) + " bytes, but got " +
                              std::to_string(workspace.bytes) +
                              ": size it with MatrixProducts::plan().");
}

void check_matrix(const Matrix& w, int rows) {
  if (rows > 0 && streams(w)) return;
  throw std::invalid_argument(
      "The product of " + shape_of(w, rows) +
      " cannot be computed: sizes must be positive, the second a multiple of 8 (32 in int4), and "
      "the values (with scales where the format has them) on a 16-byte boundary.");
}

void check_packed(const Matrix& w, bool gate_up, const PackedRows& x, int rows) {
  check_matrix(w, rows);
  if (x.values != nullptr && x.scales != nullptr && MatrixProducts::takes_packed(w, gate_up, rows))
    return;
  throw std::invalid_argument("The product of " + shape_of(w, rows) +
                              " got packed rows, but takes them as MatrixProducts::takes_packed() "
                              "says: packed with scales in fp8 beyond few rows, else in bf16.");
}

// Bytes of a stored row: in fp8 the product runs over the padding, which is zero on both sides.
int padded_in(const Matrix& w) {
  return w.format == MatrixFormat::kFp8 ? (w.in + 15) / 16 * 16 : w.in;
}

int multiprocessors_of_current_device() {
  int device = 0, major = 0, count = 0;
  check_cuda(cudaGetDevice(&device), "Asking for the current CUDA device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "Asking for the CUDA device's compute capability");
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
             "Asking for the CUDA device's multiprocessors");
  if (major != 9)
    throw std::runtime_error(
        "The CUDA kernels are built for compute capability 9.0 (H100, H200), but device " +
        std::to_string(device) + " has " + std::to_string(major) +
        ".x: build them for it, or use the device cpu.");
  return count;
}

}  // namespace

struct MatrixProducts::State {
  Gemm gemm;
  TensorMaps maps;
  int blocks = 0;
  enum class LastPhase { kNorms, kPacking, kRotation };
  // Whether one fits, by out, in, rows of a tile, format and kind.
  std::map<std::tuple<int, int, int, MatrixFormat, LastPhase>, bool> fit;

  template <typename Ask>
  bool fits(const Matrix& w, int rows, LastPhase kind, const Ask& ask) {
    const bool gate_up = kind == LastPhase::kPacking;
    if (!in_tiles(rows) || rows <= streamed_rows_max(w, gate_up)) return false;
    const auto [place, fresh] =
        fit.try_emplace({w.out, w.in, tile_rows_of(rows), w.format, kind}, false);
    if (fresh)
      check_cuda(ask(w, ManyRows{.rows = rows, .blocks = blocks}, place->second),
                 "Asking for room for the product of " + shape_of(w, rows));
    return place->second;
  }

  // `count` rows of x [*, w.in] from row `first`.
  FewRows few(const Matrix& w, const __nv_bfloat16* x, std::size_t first, int count) const {
    return {.x = x + first * static_cast<std::size_t>(w.in), .rows = count, .blocks = blocks};
  }

  // Where the rows of a product are packed as its weights are.
  static PackedRows packed_rows(const Parts& parts, char* workspace) {
    char* const packing = workspace + parts.greedy + parts.greedy_many + parts.gemm;
    return {.values = packing, .scales = reinterpret_cast<float*>(packing + parts.matrix)};
  }
  static PackedRows pack(const Matrix& w, const __nv_bfloat16* x, int rows, const Parts& parts,
                         char* workspace, cudaStream_t stream) {
    const PackedRows packed = packed_rows(parts, workspace);
    const Matrix matrix{.format = w.format,
                        .values = packed.values,
                        .scales = packed.scales,
                        .out = rows,
                        .in = w.in};
    check_cuda(w.in <= kPackedRowMax ? pack_rows(x, w.in, rows, packed, stream)
                                     : pack_matrix(x, matrix, stream),
               "Packing rows for the product of " + shape_of(w, rows));
    return packed;
  }

  // Up to kManyRowsMax rows as the tiles take them.
  ManyRows tiles(const PackedRows& x, int rows) const {
    return {.x = x.values, .scales = x.scales, .rows = rows, .blocks = blocks, .maps = &maps};
  }
  ManyRows tiles(const Matrix& w, const __nv_bfloat16* x, int rows, const Parts& parts,
                 char* workspace, cudaStream_t stream) const {
    if (w.format == MatrixFormat::kFp8)
      return tiles(pack(w, x, rows, parts, workspace, stream), rows);
    return {.x = x, .rows = rows, .blocks = blocks, .maps = &maps};
  }

  // Of a linear product by itself.
  ManyRows tiles(const Matrix& w, const __nv_bfloat16* x, int rows, ProductWorkspace workspace,
                 cudaStream_t stream) const {
    const Parts parts = Parts::of(w, false, rows, blocks);
    check_workspace(workspace, parts, w, rows);
    return tiles(w, x, rows, parts, static_cast<char*>(workspace.data), stream);
  }

  // Any number of rows: x · Wᵀ into `y`, W as it stands or unpacked.
  void multiply(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows,
                const Parts& parts, char* workspace, cudaStream_t stream) {
    char* const scratch = workspace + parts.greedy + parts.greedy_many;
    Gemm::Product product{.w = w.values, .x = x, .y = y, .out = w.out, .in = w.in, .rows = rows};
    if (w.format != MatrixFormat::kBf16) {
      auto* const unpacked = reinterpret_cast<__nv_bfloat16*>(scratch + parts.gemm);
      check_cuda(unpack_matrix(w, unpacked, stream),
                 "Unpacking a matrix for the product of " + shape_of(w, rows));
      product.w = unpacked;
    }
    gemm.run(product, scratch, stream);
  }
  void multiply_packed(const Matrix& w, const PackedRows& x, __nv_bfloat16* y, int rows,
                       const Parts& parts, char* workspace, cudaStream_t stream) {
    if (linear_wide_fills(w.out, rows, blocks)) {
      check_cuda(linear_wide(w, tiles(x, rows), y, stream), "The product of " + shape_of(w, rows));
      return;
    }
    gemm.run({.type = Gemm::Type::kFp8,
              .w = w.values,
              .x = x.values,
              .w_scales = static_cast<const float*>(w.scales),
              .x_scales = x.scales,
              .y = y,
              .out = w.out,
              .in = padded_in(w),
              .rows = rows},
             workspace + parts.greedy + parts.greedy_many, stream);
  }
};

MatrixProducts::MatrixProducts() {
  // The device first: its sentence says more than that of cuBLASLt, which needs one.
  const int blocks = multiprocessors_of_current_device();
  state_ = std::make_unique<State>();
  state_->blocks = blocks;
}
MatrixProducts::~MatrixProducts() = default;

bool MatrixProducts::takes_packed(const Matrix& w, bool gate_up, int rows) {
  return w.format == MatrixFormat::kFp8 && rows > streamed_rows_max(w, gate_up);
}

std::size_t MatrixProducts::plan(std::span<const ProductShape> shapes, int rows_max) {
  Parts most = Parts::of_head({}, state_->blocks);
  for (const ProductShape& shape : shapes) {
    const Matrix w{.format = shape.format, .out = shape.out, .in = shape.in};
    most.add(Parts::of(w, shape.gate_up, rows_max, state_->blocks));
    const auto type = w.format == MatrixFormat::kFp8 ? Gemm::Type::kFp8 : Gemm::Type::kBf16;
    const int first = std::max(streamed_rows_max(w, shape.gate_up), kManyRowsMax);
    if (shape.gate_up && w.format == MatrixFormat::kFp8) continue;
    if (rows_max > first) state_->gemm.plan(type, w.out, padded_in(w), first + 1, rows_max);
  }
  return most.sum();
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows,
                            ProductWorkspace workspace, cudaStream_t stream) {
  check_matrix(w, rows);
  if (rows <= streamed_rows_max(w, false)) {
    in_portions(rows, [&](std::size_t first, int count) {
      check_cuda(linear_few(w, state_->few(w, x, first, count),
                            y + first * static_cast<std::size_t>(w.out), stream),
                 "The product of " + shape_of(w, rows));
    });
    return;
  }
  const Parts parts = Parts::of(w, false, rows, state_->blocks);
  check_workspace(workspace, parts, w, rows);
  auto* const scratch = static_cast<char*>(workspace.data);
  if (w.format == MatrixFormat::kFp8)
    return linear(w, state_->pack(w, x, rows, parts, scratch, stream), y, rows, workspace, stream);
  if (!in_tiles(rows)) return state_->multiply(w, x, y, rows, parts, scratch, stream);
  check_cuda(linear_many(w, state_->tiles(w, x, rows, parts, scratch, stream), y, stream),
             "The product of " + shape_of(w, rows));
}

void MatrixProducts::linear(const Matrix& w, const PackedRows& x, __nv_bfloat16* y, int rows,
                            ProductWorkspace workspace, cudaStream_t stream) {
  check_packed(w, false, x, rows);
  const Parts parts = Parts::of(w, false, rows, state_->blocks);
  check_workspace(workspace, parts, w, rows);
  if (!in_tiles(rows))
    return state_->multiply_packed(w, x, y, rows, parts, static_cast<char*>(workspace.data),
                                   stream);
  check_cuda(linear_many(w, state_->tiles(x, rows), y, stream),
             "The product of " + shape_of(w, rows));
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, float* y, int rows,
                            ProductWorkspace workspace, cudaStream_t stream) {
  head_logits({.embedding = w}, x, y, rows, workspace, stream);
}

bool MatrixProducts::makes_norms(const Matrix& before, const Matrix& behind) {
  return leaves_squares(before) && takes_normed(behind) && before.out == behind.in;
}

int MatrixProducts::square_slots(const Matrix& w) const {
  return kernels::square_slots(w, state_->blocks);
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y,
                            float* squares, int rows, bool behind_attention, cudaStream_t stream) {
  check_matrix(w, rows);
  FewRows few = state_->few(w, x, 0, rows);
  few.long_wait = behind_attention;
  check_cuda(linear_few(w, few, y, squares, stream),
             "The product of " + shape_of(w, rows) + " with squares");
}

void MatrixProducts::linear(const Matrix& w, const NormedRows& x, __nv_bfloat16* y, int rows,
                            cudaStream_t stream) {
  check_matrix(w, rows);
  check_cuda(linear_few(w, x, rows, state_->blocks, y, stream),
             "Norm and product of " + shape_of(w, rows));
}

void MatrixProducts::gate_up(const Matrix& w, const NormedRows& x, __nv_bfloat16* h, int rows,
                             cudaStream_t stream) {
  check_matrix(w, rows);
  check_cuda(gate_up_few(w, x, rows, state_->blocks, h, stream),
             "Norm, gate and up of " + shape_of(w, rows));
}

void MatrixProducts::gate_up(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* h, int rows,
                             ProductWorkspace workspace, cudaStream_t stream) {
  check_matrix(w, rows);
  if (rows <= streamed_rows_max(w, true)) {
    in_portions(rows, [&](std::size_t first, int count) {
      check_cuda(gate_up_few(w, state_->few(w, x, first, count),
                             h + first * static_cast<std::size_t>(w.out / 2), stream),
                 "Gate and up of " + shape_of(w, rows));
    });
    return;
  }
  const Parts parts = Parts::of(w, true, rows, state_->blocks);
  check_workspace(workspace, parts, w, rows);
  auto* const scratch = static_cast<char*>(workspace.data);
  if (in_tiles(rows)) {
    const ManyRows many = state_->tiles(w, x, rows, parts, scratch, stream);
    check_cuda(gate_up_many(w, many, h, stream), "Gate and up of " + shape_of(w, rows));
    return;
  }
  if (w.format == MatrixFormat::kFp8) {
    const ManyRows wide = state_->tiles(w, x, rows, parts, scratch, stream);
    check_cuda(gate_up_wide(w, wide, h, stream), "Gate and up of " + shape_of(w, rows));
    return;
  }
  auto* const both = reinterpret_cast<__nv_bfloat16*>(scratch + parts.sum() - parts.gate_up);
  state_->multiply(w, x, both, rows, parts, scratch, stream);
  check_cuda(gelu_product(both, h, w.out / 2, rows, stream), "The gelu of " + shape_of(w, rows));
}

void MatrixProducts::feed_forward(const FeedForward& w, const __nv_bfloat16* x, __nv_bfloat16* h,
                                  __nv_bfloat16* y, int rows, ProductWorkspace workspace,
                                  cudaStream_t stream) {
  if (!takes_packed(w.up, true, rows)) {
    gate_up(w.up, x, h, rows, workspace, stream);
    return linear(w.down, h, y, rows, workspace, stream);
  }
  check_matrix(w.up, rows);
  const Parts parts = Parts::of(w.up, true, rows, state_->blocks);
  check_workspace(workspace, parts, w.up, rows);
  auto* const scratch = static_cast<char*>(workspace.data);
  feed_forward(w, state_->pack(w.up, x, rows, parts, scratch, stream), h, y, rows, workspace,
               stream);
}

void MatrixProducts::feed_forward(const FeedForward& w, const PackedRows& x, __nv_bfloat16* h,
                                  __nv_bfloat16* y, int rows, ProductWorkspace workspace,
                                  cudaStream_t stream) {
  const auto& [up, down] = w;
  check_packed(up, true, x, rows);
  const Parts parts = Parts::of(up, true, rows, state_->blocks);
  const std::string what = "Gate and up of " + shape_of(up, rows);
  if (in_tiles(rows)) {
    check_cuda(gate_up_many(up, state_->tiles(x, rows), h, stream), what);
    return linear(down, h, y, rows, workspace, stream);
  }
  check_workspace(workspace, parts, up, rows);
  check_cuda(gate_up_wide(up, state_->tiles(x, rows), h, stream), what);
  linear(down, h, y, rows, workspace, stream);
}

bool MatrixProducts::norms_behind(const Matrix& w, int rows) {
  return state_->fits(w, rows, State::LastPhase::kNorms, kernels::norms_behind);
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, const NormBehind& behind,
                            int rows, ProductWorkspace workspace, cudaStream_t stream) {
  check_matrix(w, rows);
  check_cuda(linear_normed_many(w, state_->tiles(w, x, rows, workspace, stream), behind, stream),
             "The product of " + shape_of(w, rows) + " with norms");
}

void MatrixProducts::linear(const Matrix& w, const PackedRows& x, const NormBehind& behind,
                            int rows, cudaStream_t stream) {
  check_packed(w, false, x, rows);
  check_cuda(linear_normed_many(w, state_->tiles(x, rows), behind, stream),
             "The product of " + shape_of(w, rows) + " with norms");
}

bool MatrixProducts::rotates_behind(const Matrix& w, int rows) {
  return state_->fits(w, rows, State::LastPhase::kRotation, kernels::rotates_behind);
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, const RotationBehind& behind,
                            int rows, ProductWorkspace workspace, cudaStream_t stream) {
  check_matrix(w, rows);
  check_cuda(linear_rotated_many(w, state_->tiles(w, x, rows, workspace, stream), behind, stream),
             "The product of " + shape_of(w, rows) + " with rope");
}

void MatrixProducts::linear(const Matrix& w, const PackedRows& x, const RotationBehind& behind,
                            int rows, cudaStream_t stream) {
  check_packed(w, false, x, rows);
  check_cuda(linear_rotated_many(w, state_->tiles(x, rows), behind, stream),
             "The product of " + shape_of(w, rows) + " with rope");
}

bool MatrixProducts::packs_behind(const Matrix& up, int rows) {
  return state_->fits(up, rows, State::LastPhase::kPacking, kernels::packs_behind);
}

void MatrixProducts::gate_up(const Matrix& w, const PackedRows& x, const PackedRows& h,
                             unsigned* arrivals, int rows, cudaStream_t stream) {
  check_packed(w, true, x, rows);
  check_cuda(gate_up_packed_many(w, state_->tiles(x, rows), h, arrivals, stream),
             "Gate and up of " + shape_of(w, rows) + " with packing");
}

void MatrixProducts::gate_up(const Matrix& w, const PackedRows& x, __nv_bfloat16* h, int rows,
                             cudaStream_t stream) {
  check_packed(w, true, x, rows);
  check_cuda(gate_up_many(w, state_->tiles(x, rows), h, stream),
             "Gate and up of " + shape_of(w, rows));
}

void MatrixProducts::head_logits(const Head& head, const __nv_bfloat16* x, float* logits, int rows,
                                 ProductWorkspace workspace, cudaStream_t stream) {
  const Matrix& w = head.embedding;
  check_matrix(w, rows);
  const auto out = static_cast<std::size_t>(w.out), in = static_cast<std::size_t>(w.in);
  const std::string what = "The product of " + shape_of(w, rows);
  if (!head_in_tiles(w, rows)) {
    in_portions(rows, [&](std::size_t first, int count) {
      check_cuda(linear_few(w, state_->few(w, x, first, count), logits + first * out, head.softcap,
                            stream),
                 what);
    });
    return;
  }
  const Parts parts = Parts::of_head(w, state_->blocks);
  check_workspace(workspace, parts, w, rows);
  in_portions(
      rows,
      [&](std::size_t first, int count) {
        const ManyRows many = state_->tiles(w, x + first * in, count, parts,
                                            static_cast<char*>(workspace.data), stream);
        check_cuda(logits_many(w, many, logits + first * out, head.softcap, stream), what);
      },
      kHeadRowsMax);
}

void MatrixProducts::head_greedy(const Head& head, const __nv_bfloat16* x, GreedyChoice* choices,
                                 int rows, ProductWorkspace workspace, cudaStream_t stream) {
  const Matrix& w = head.embedding;
  check_matrix(w, rows);
  const Parts parts = Parts::of_head(w, state_->blocks);
  check_workspace(workspace, parts, w, rows);
  auto* const scratch = static_cast<char*>(workspace.data);
  const std::string what = "The greedy choice of " + shape_of(w, rows);
  if (!head_in_tiles(w, rows)) {
    in_portions(rows, [&](std::size_t first, int count) {
      check_cuda(
          greedy_few(head, state_->few(w, x, first, count), scratch, choices + first, stream),
          what);
    });
    return;
  }
  in_portions(
      rows,
      [&](std::size_t first, int count) {
        const ManyRows many = state_->tiles(w, x + first * static_cast<std::size_t>(w.in), count,
                                            parts, scratch, stream);
        check_cuda(greedy_many(head, many, scratch + parts.greedy, choices + first, stream), what);
      },
      kHeadRowsMax);
}

}  // namespace captiond::kernels
