#include "model/kernels/gemm.h"

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include <cublasLt.h>

namespace captiond::kernels {
namespace {

void check_lt(cublasStatus_t status, const std::string& what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(what + " failed in cuBLASLt with status " +
                           std::to_string(static_cast<int>(status)) + ".");
}

// Row-major [rows, columns] seen by cuBLASLt as column-major [columns, rows].
class Layout {
 public:
  Layout(cudaDataType_t type, int columns, int rows) {
    check_lt(cublasLtMatrixLayoutCreate(&layout_, type, static_cast<std::uint64_t>(columns),
                                        static_cast<std::uint64_t>(rows), columns),
             "The description of a matrix");
  }
  ~Layout() { cublasLtMatrixLayoutDestroy(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  cublasLtMatrixLayout_t layout_ = nullptr;
};

// The smallest pointer alignment that callers keep, told to the heuristic.
constexpr std::uint32_t kAlignment = 16;

class Preference {
 public:
  Preference() {
    check_lt(cublasLtMatmulPreferenceCreate(&preference_), "The preference of a product");
    const std::size_t bytes = Gemm::kWorkspaceBytes;
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof(bytes));
    for (const auto operand :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      set(operand, &kAlignment, sizeof(kAlignment));
  }
  ~Preference() { cublasLtMatmulPreferenceDestroy(preference_); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  cublasLtMatmulPreference_t get() const { return preference_; }

 private:
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const void* value, std::size_t bytes) {
    check_lt(cublasLtMatmulPreferenceSetAttribute(preference_, attribute, value, bytes),
             "The preference of a product");
  }
  cublasLtMatmulPreference_t preference_ = nullptr;
};

// The rows that an algorithm is chosen for: the library plans whole waves of tiles, so that the
// best one for 1,024 rows is not that for 600.
unsigned bucket_of(int rows) {
  const auto count = static_cast<unsigned>(rows);
  if (count <= 128) return std::bit_ceil(count);
  if (count <= 1024) return (count + 127) / 128 * 128;
  if (count <= 4096) return (count + 511) / 512 * 512;
  return std::bit_ceil(count);
}

}  // namespace

struct Gemm::State {
  using Key = std::tuple<Type, int, int, unsigned>;  // out, in, bucket of rows

  State();
  ~State() {
    for (const cublasLtMatmulDesc_t operation : operations) cublasLtMatmulDescDestroy(operation);
    cublasLtDestroy(handle);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  template <typename T>
  void set(Type type, cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check_lt(cublasLtMatmulDescSetAttribute(of(type), attribute, &value, sizeof(value)),
             "The description of a product");
  }
  cublasLtMatmulDesc_t of(Type type) const { return operations[static_cast<std::size_t>(type)]; }
  const cublasLtMatmulAlgo_t& algorithm(Type type, int out, int in, unsigned bucket);

  cublasLtHandle_t handle = nullptr;
  std::array<cublasLtMatmulDesc_t, 2> operations{};  // by Type
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;
};

namespace {

cudaDataType_t library_type(Gemm::Type type) {
  return type == Gemm::Type::kBf16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
}

}  // namespace

Gemm::State::State() {
  check_lt(cublasLtCreate(&handle), "The start of the matrix library");
  for (const Type type : {Type::kBf16, Type::kFp8}) {
    check_lt(cublasLtMatmulDescCreate(&operations[static_cast<std::size_t>(type)],
                                      CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "The description of a product");
    set(type, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  }
  set(Type::kFp8, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
  set(Type::kFp8, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
  // Sums stay in the tensor cores, as in wide_rows.cuh: 0.1 to 0.3 % of a result, where rounding
  // the rows and weights to e4m3 costs 4 %, for 5 to 15 % of the time.
  set(Type::kFp8, CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
  // The heuristic refuses this mode without scales; it only looks at the address. run() sets them.
  const auto* const some_scales = reinterpret_cast<const float*>(std::uintptr_t{256});
  set(Type::kFp8, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, some_scales);
  set(Type::kFp8, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, some_scales);
}

const cublasLtMatmulAlgo_t& Gemm::State::algorithm(Type type, int out, int in, unsigned bucket) {
  const Key key{type, out, in, bucket};
  if (const auto found = algorithms.find(key); found != algorithms.end()) return found->second;
  const int rows = static_cast<int>(bucket);
  const Layout w(library_type(type), in, out), x(library_type(type), in, rows);
  const Layout y(CUDA_R_16BF, out, rows);
  const Preference preference;
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle, of(type), w.get(), x.get(), y.get(), y.get(), preference.get(), 1, &result, &count);
  if (status != CUBLAS_STATUS_SUCCESS || count == 0)
    throw std::invalid_argument(
        "cuBLASLt has no algorithm for the product of " + std::to_string(bucket) +
        " rows with a matrix [" + std::to_string(out) + ", " + std::to_string(in) + "] in " +
        (type == Type::kBf16 ? "bf16" : "fp8") + " (status " +
        std::to_string(static_cast<int>(status)) + "): both sizes must be multiples of " +
        (type == Type::kBf16 ? "8." : "16."));
  return algorithms.emplace(key, result.algo).first->second;
}

Gemm::Gemm() : state_(std::make_unique<State>()) {}
Gemm::~Gemm() = default;

void Gemm::plan(Type type, int out, int in, int rows_min, int rows_max) {
  const unsigned last = bucket_of(rows_max);
  for (unsigned bucket = bucket_of(rows_min); bucket <= last;
       bucket = bucket_of(static_cast<int>(bucket) + 1))
    state_->algorithm(type, out, in, bucket);
}

void Gemm::run(const Product& product, void* workspace, cudaStream_t stream) {
  const Type type = product.type;
  const auto& algorithm = state_->algorithm(type, product.out, product.in, bucket_of(product.rows));
  const Layout w(library_type(type), product.in, product.out);
  const Layout x(library_type(type), product.in, product.rows);
  const Layout y(CUDA_R_16BF, product.out, product.rows);
  if (type == Type::kFp8) {
    state_->set(type, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, product.w_scales);
    state_->set(type, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, product.x_scales);
  }
  const float one = 1.0F, zero = 0.0F;
  check_lt(cublasLtMatmul(state_->handle, state_->of(type), &one, product.w, w.get(), product.x,
                          x.get(), &zero, product.y, y.get(), product.y, y.get(), &algorithm,
                          workspace, kWorkspaceBytes, stream),
           "The product of " + std::to_string(product.rows) + " rows with a matrix [" +
               std::to_string(product.out) + ", " + std::to_string(product.in) + "]");
}

}  // namespace captiond::kernels
