// A product of few rows and the norms behind it in one launch.

#include "model/kernels/few_rows.cuh"
#include "model/kernels/grid_arrival.cuh"
#include "model/kernels/linear_tail.cuh"
#include "model/kernels/matrix_products.h"
#include "model/kernels/norm_row.cuh"
#include "model/kernels/stream_normed.h"

namespace captiond::kernels {
namespace {

static_assert(kStreamThreads == kTakers);
// Rows in front of a norm that products make go to the kernels of split_stream.cuh.
static_assert(MatrixProducts::kNormedRowsMax <= kSplitRowsMax);

// Writes y, waits for all blocks of the launch and norms a row: those of the first blocks, so that
// the others make room for the next kernel.
struct StreamNormTail {
  static constexpr bool kPaired = false;
  LinearTail<ToBf16> linear;
  NormBehind behind;
  unsigned round = 0;

  __device__ void begin() {
    if (threadIdx.x == 0) round = round_of(behind.arrivals);
  }
  __device__ void take(int turn, int low, int high, int n, const float4& sum) {
    linear.take(turn, low, high, n, sum);
  }
  // Behind a barrier of the block.
  __device__ void finish(char*, const StreamInput& input) {
    __shared__ NormScratch scratch;
    if (threadIdx.x == 0) arrive_in_grid(behind.arrivals, blockIdx.x == 0, gridDim.x);
    norm_rows(behind, static_cast<int>(blockIdx.x), input.rows, static_cast<int>(gridDim.x),
              scratch, [&] {
                if (threadIdx.x == 0) wait_for_grid(behind.arrivals, round);
                wait_for_takers();
              });
  }
};

template <class Weights>
constexpr int kRowsMax = 16;
template <>
constexpr int kRowsMax<Int8Weights> = MatrixProducts::kFewRowsMax;
template <>
constexpr int kRowsMax<Int4Weights> = 32;

}  // namespace

bool norms_behind_few(const Matrix& w, int rows) noexcept {
  if (!streams(w) || w.out % kLane != 0 || w.out > kNormBehindWidthMax || rows <= kSplitRowsMax)
    return false;
  return of_format(w.format, [&]<class Weights, class>() {
           return rows <= kRowsMax<Weights> ? cudaSuccess : cudaErrorInvalidValue;
         }) == cudaSuccess;
}

cudaError_t linear_normed_few(const Matrix& w, const FewRows& x, const NormBehind& behind,
                              cudaStream_t stream) noexcept {
  const bool aligned = reinterpret_cast<std::uintptr_t>(x.x) % 16 == 0;
  if (!norms_behind_few(w, x.rows) || !can_norm(w, behind) || x.x == nullptr || !aligned ||
      x.blocks < 1)
    return cudaErrorInvalidValue;
  // The product writes what the norm reads.
  auto* const y = const_cast<__nv_bfloat16*>(behind.norm.sublayer);
  const StreamNormTail tail{.linear = {{y}, w.out, x.rows}, .behind = behind};
  const StreamInput input = stream_input(w, x);
  return of_format(w.format, [&]<class Weights, class>() {
    return launch_stream<Weights, kRowsMax<Weights>>(input, tail, x.blocks, stream);
  });
}

}  // namespace captiond::kernels
