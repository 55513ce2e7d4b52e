#pragma once

#include <cstddef>
#include <memory>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// y = x · Wᵀ of many rows through cuBLASLt: W [out, in], x [rows, in], y [rows, out], row-major,
// summed in float32. y is bf16; W and x are either bf16 or e4m3 with one float32 scale a row, whose
// sums keep some 13 bits.
//
// The algorithm is cuBLASLt's first proposal for a shape and a bucket of rows (multiples of 128 up
// to 1,024 and of 512 up to 4,096, else powers of two); it is asked for once, in plan() or else at
// the first call, which then costs host time but allocates no device memory. For the current
// device; not thread-safe.
class Gemm {
 public:
  // What every call may use as scratch on its stream, 256-byte aligned.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  // Throws std::runtime_error when cuBLASLt does not start.
  Gemm();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Of W and x.
  enum class Type { kBf16, kFp8 };

  // Chooses the algorithms for the buckets of `rows_min` to `rows_max` rows. Throws
  // std::invalid_argument when cuBLASLt has none for a shape.
  void plan(Type type, int out, int in, int rows_min, int rows_max);

  struct Product {
    Type type = Type::kBf16;
    const void* w = nullptr;  // 16-byte aligned, as x and y
    const void* x = nullptr;
    const float* w_scales = nullptr;  // [out], kFp8 alone
    const float* x_scales = nullptr;  // [rows], kFp8 alone
    __nv_bfloat16* y = nullptr;
    int out = 0;
    int in = 0;
    int rows = 0;
  };
  // Enqueues and returns. Throws std::invalid_argument as plan() does, std::runtime_error when the
  // launch fails.
  void run(const Product& product, void* workspace, cudaStream_t stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace captiond::kernels
