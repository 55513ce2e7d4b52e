#include "model/kernels/matrix_products.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "model/kernels/cuda_error.h"
#include "model/kernels/few_rows.h"
#include "model/kernels/gelu_product.h"
#include "model/kernels/gemm.h"
#include "model/kernels/pack_matrix.h"

namespace captiond::kernels {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::string shape_of(const Matrix& w, int rows) {
  return std::to_string(rows) + (rows == 1 ? " row" : " rows") + " with a matrix [" +
         std::to_string(w.out) + ", " + std::to_string(w.in) + "]";
}

// Rows up to which the weights are streamed, in portions of kFewRowsMax rows; beyond them cuBLASLt
// was faster (docs/performance.md). It and the tail of gate and up take rows of whole 16 bytes
// only: matrices whose outputs have none are streamed whatever the number of rows.
int streamed_rows_max(const Matrix& w, bool gate_up) {
  const int outputs = gate_up ? w.out / 2 : w.out;
  if (outputs % (w.format == MatrixFormat::kFp8 ? 16 : 8) != 0)
    return std::numeric_limits<int>::max();
  switch (w.format) {
    case MatrixFormat::kBf16:
      return 16;
    case MatrixFormat::kFp8:
      return 32;
    case MatrixFormat::kInt8:
    case MatrixFormat::kInt4:
      return 192;
  }
  return 0;
}

// Calls body(first, count) for portions of at most kFewRowsMax of `rows` rows.
template <typename Body>
void in_portions(int rows, const Body& body) {
  for (int first = 0; first < rows; first += MatrixProducts::kFewRowsMax)
    body(static_cast<std::size_t>(first), std::min(rows - first, MatrixProducts::kFewRowsMax));
}

// The parts of a workspace, in this order: what the greedy head keeps zeroed, cuBLASLt's own, an
// unpacked matrix (kInt8, kInt4) or packed rows and their scales (kFp8), gate and up before their
// tail.
struct Parts {
  std::size_t greedy = 0, gemm = 0, matrix = 0, row_scales = 0, gate_up = 0;

  static Parts of(const Matrix& w, bool gate_up, int rows, int blocks) {
    Parts parts{.greedy = aligned(greedy_scratch_bytes(blocks))};
    if (rows <= streamed_rows_max(w, gate_up)) return parts;
    const auto out = static_cast<std::size_t>(w.out), in = static_cast<std::size_t>(w.in);
    parts.gemm = aligned(Gemm::kWorkspaceBytes);
    if (w.format == MatrixFormat::kFp8) {
      const MatrixBytes bytes = matrix_bytes(w.format, rows, w.in);
      parts.matrix = aligned(bytes.values);
      parts.row_scales = aligned(bytes.scales);
    } else if (w.format != MatrixFormat::kBf16) {
      parts.matrix = aligned(out * in * sizeof(__nv_bfloat16));
    }
    if (gate_up)
      parts.gate_up = aligned(out * static_cast<std::size_t>(rows) * sizeof(__nv_bfloat16));
    return parts;
  }
  std::size_t sum() const { return greedy + gemm + matrix + row_scales + gate_up; }
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
  int blocks = 0;

  // `count` rows of x [*, w.in] from row `first`.
  FewRows few(const Matrix& w, const __nv_bfloat16* x, std::size_t first, int count) const {
    return {.x = x + first * static_cast<std::size_t>(w.in), .rows = count, .blocks = blocks};
  }

  // Many rows: x · Wᵀ into `y`. W as it stands, or unpacked, or with the rows of x packed like it.
  void many(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows, const Parts& parts,
            char* workspace, cudaStream_t stream) {
    char* const scratch = workspace + parts.greedy;
    char* const packing = scratch + parts.gemm;
    Gemm::Product product{.w = w.values, .x = x, .y = y, .out = w.out, .in = w.in, .rows = rows};
    if (w.format == MatrixFormat::kFp8) {
      const Matrix packed{.format = w.format,
                          .values = packing,
                          .scales = packing + parts.matrix,
                          .out = rows,
                          .in = w.in};
      check_cuda(pack_matrix(x, packed, stream),
                 "Packing rows for the product of " + shape_of(w, rows));
      product.type = Gemm::Type::kFp8;
      product.x = packed.values;
      product.x_scales = static_cast<const float*>(packed.scales);
      product.w_scales = static_cast<const float*>(w.scales);
      product.in = padded_in(w);
    } else if (w.format != MatrixFormat::kBf16) {
      auto* const unpacked = reinterpret_cast<__nv_bfloat16*>(packing);
      check_cuda(unpack_matrix(w, unpacked, stream),
                 "Unpacking a matrix for the product of " + shape_of(w, rows));
      product.w = unpacked;
    }
    gemm.run(product, scratch, stream);
  }
};

MatrixProducts::MatrixProducts() {
  // The device first: its sentence says more than that of cuBLASLt, which needs one.
  const int blocks = multiprocessors_of_current_device();
  state_ = std::make_unique<State>();
  state_->blocks = blocks;
}
MatrixProducts::~MatrixProducts() = default;

std::size_t MatrixProducts::plan(std::span<const ProductShape> shapes, int rows_max) {
  Parts most = Parts::of({}, false, 1, state_->blocks);
  for (const ProductShape& shape : shapes) {
    const Matrix w{.format = shape.format, .out = shape.out, .in = shape.in};
    const Parts parts = Parts::of(w, shape.gate_up, rows_max, state_->blocks);
    most.gemm = std::max(most.gemm, parts.gemm);
    most.matrix = std::max(most.matrix, parts.matrix);
    most.row_scales = std::max(most.row_scales, parts.row_scales);
    most.gate_up = std::max(most.gate_up, parts.gate_up);
    const auto type = w.format == MatrixFormat::kFp8 ? Gemm::Type::kFp8 : Gemm::Type::kBf16;
    const int streamed = streamed_rows_max(w, shape.gate_up);
    if (rows_max > streamed) state_->gemm.plan(type, w.out, padded_in(w), streamed + 1, rows_max);
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
  state_->many(w, x, y, rows, parts, static_cast<char*>(workspace.data), stream);
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, float* y, int rows,
                            ProductWorkspace workspace, cudaStream_t stream) {
  head_logits({.embedding = w}, x, y, rows, workspace, stream);
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
  auto* const both = reinterpret_cast<__nv_bfloat16*>(scratch + parts.sum() - parts.gate_up);
  state_->many(w, x, both, rows, parts, scratch, stream);
  check_cuda(gelu_product(both, h, w.out / 2, rows, stream), "The gelu of " + shape_of(w, rows));
}

void MatrixProducts::head_logits(const Head& head, const __nv_bfloat16* x, float* logits, int rows,
                                 ProductWorkspace, cudaStream_t stream) {
  const Matrix& w = head.embedding;
  check_matrix(w, rows);
  in_portions(rows, [&](std::size_t first, int count) {
    check_cuda(linear_few(w, state_->few(w, x, first, count),
                          logits + first * static_cast<std::size_t>(w.out), head.softcap, stream),
               "The product of " + shape_of(w, rows));
  });
}

void MatrixProducts::head_greedy(const Head& head, const __nv_bfloat16* x, GreedyChoice* choices,
                                 int rows, ProductWorkspace workspace, cudaStream_t stream) {
  const Matrix& w = head.embedding;
  check_matrix(w, rows);
  check_workspace(workspace, Parts::of(w, false, 1, state_->blocks), w, rows);
  in_portions(rows, [&](std::size_t first, int count) {
    check_cuda(
        greedy_few(head, state_->few(w, x, first, count), workspace.data, choices + first, stream),
        "The greedy choice of " + shape_of(w, rows));
  });
}

}  // namespace captiond::kernels
