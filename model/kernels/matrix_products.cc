#include "model/kernels/matrix_products.h"

#include <algorithm>
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

// The parts of a workspace, in this order: what the greedy head keeps zeroed, cuBLASLt's own, an
// unpacked matrix, gate and up before their tail.
struct Parts {
  std::size_t greedy = 0, gemm = 0, matrix = 0, gate_up = 0;

  static Parts of(const Matrix& w, bool gate_up, int rows, int blocks) {
    Parts parts{.greedy = aligned(greedy_scratch_bytes(blocks))};
    if (rows <= MatrixProducts::kFewRowsMax) return parts;
    const auto out = static_cast<std::size_t>(w.out), in = static_cast<std::size_t>(w.in);
    parts.gemm = aligned(Gemm::kWorkspaceBytes);
    if (w.format != MatrixFormat::kBf16) parts.matrix = aligned(out * in * sizeof(__nv_bfloat16));
    if (gate_up)
      parts.gate_up = aligned(out * static_cast<std::size_t>(rows) * sizeof(__nv_bfloat16));
    return parts;
  }
  std::size_t sum() const { return greedy + gemm + matrix + gate_up; }
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

}  // namespace

struct MatrixProducts::State {
  Gemm gemm;
  int blocks = 0;

  FewRows few(const __nv_bfloat16* x, int rows) const {
    return {.x = x, .rows = rows, .blocks = blocks};
  }

  // Many rows: x · Wᵀ into `y` with W as it stands or unpacked.
  void many(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows, const Parts& parts,
            char* workspace, cudaStream_t stream) {
    auto* values = static_cast<const __nv_bfloat16*>(w.values);
    char* const scratch = workspace + parts.greedy;
    if (w.format != MatrixFormat::kBf16) {
      auto* unpacked = reinterpret_cast<__nv_bfloat16*>(scratch + parts.gemm);
      check_cuda(unpack_matrix(w, unpacked, stream),
                 "Unpacking a matrix for the product of " + shape_of(w, rows));
      values = unpacked;
    }
    gemm.run({.w = values, .x = x, .y = y, .out = w.out, .in = w.in, .rows = rows}, scratch,
             stream);
  }
};

MatrixProducts::MatrixProducts() : state_(std::make_unique<State>()) {
  int device = 0, major = 0;
  check_cuda(cudaGetDevice(&device), "Asking for the current CUDA device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "Asking for the CUDA device's compute capability");
  check_cuda(cudaDeviceGetAttribute(&state_->blocks, cudaDevAttrMultiProcessorCount, device),
             "Asking for the CUDA device's multiprocessors");
  if (major != 9)
    throw std::runtime_error(
        "The CUDA kernels are built for compute capability 9.0 (H100, H200), but device " +
        std::to_string(device) + " has " + std::to_string(major) +
        ".x: build them for it, or use the device cpu.");
}
MatrixProducts::~MatrixProducts() = default;

std::size_t MatrixProducts::plan(std::span<const ProductShape> shapes, int rows_max) {
  Parts most = Parts::of({}, false, 1, state_->blocks);
  for (const ProductShape& shape : shapes) {
    const Matrix w{.format = shape.format, .out = shape.out, .in = shape.in};
    const Parts parts = Parts::of(w, shape.gate_up, rows_max, state_->blocks);
    most.gemm = std::max(most.gemm, parts.gemm);
    most.matrix = std::max(most.matrix, parts.matrix);
    most.gate_up = std::max(most.gate_up, parts.gate_up);
    if (rows_max > kFewRowsMax) state_->gemm.plan(shape.out, shape.in, rows_max);
  }
  return most.sum();
}

void MatrixProducts::linear(const Matrix& w, const __nv_bfloat16* x, __nv_bfloat16* y, int rows,
                            ProductWorkspace workspace, cudaStream_t stream) {
  check_matrix(w, rows);
  if (rows <= kFewRowsMax) {
    check_cuda(linear_few(w, state_->few(x, rows), y, stream),
               "The product of " + shape_of(w, rows));
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
  if (rows <= kFewRowsMax) {
    check_cuda(gate_up_few(w, state_->few(x, rows), h, stream),
               "Gate and up of " + shape_of(w, rows));
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
  for (int first = 0; first < rows; first += kFewRowsMax) {
    const auto begin = static_cast<std::size_t>(first);
    const int count = std::min(rows - first, kFewRowsMax);
    check_cuda(linear_few(w, state_->few(x + begin * static_cast<std::size_t>(w.in), count),
                          logits + begin * static_cast<std::size_t>(w.out), head.softcap, stream),
               "The product of " + shape_of(w, rows));
  }
}

void MatrixProducts::head_greedy(const Head& head, const __nv_bfloat16* x, GreedyChoice* choices,
                                 int rows, ProductWorkspace workspace, cudaStream_t stream) {
  const Matrix& w = head.embedding;
  check_matrix(w, rows);
  check_workspace(workspace, Parts::of(w, false, 1, state_->blocks), w, rows);
  for (int first = 0; first < rows; first += kFewRowsMax) {
    const auto begin = static_cast<std::size_t>(first);
    const int count = std::min(rows - first, kFewRowsMax);
    check_cuda(greedy_few(head, state_->few(x + begin * static_cast<std::size_t>(w.in), count),
                          workspace.data, choices + first, stream),
               "The greedy choice of " + shape_of(w, rows));
  }
}

}  // namespace captiond::kernels
