// A linear product of many rows and the norms behind it in one launch.

#include "model/kernels/many_linear_tail.cuh"
#include "model/kernels/norm_behind.cuh"

namespace captiond::kernels {
namespace {

using NormedLinearTail = NormedTail<ManyLinearTail<ManyToBf16>>;

}  // namespace

bool can_norm(const Matrix& w, const NormBehind& behind) noexcept {
  const ResidualNorm& norm = behind.norm;
  const bool complete = norm.sublayer != nullptr && norm.post_weight != nullptr &&
                        norm.pre_weight != nullptr && norm.hidden != nullptr &&
                        behind.arrivals != nullptr;
  const bool packs = behind.packed.values != nullptr && behind.packed.scales != nullptr;
  return complete && packs == (norm.y == nullptr) && norm.width == w.out && w.out % kLane == 0 &&
         w.out <= kNormBehindWidthMax;
}

cudaError_t norms_behind(const Matrix& w, const ManyRows& x, bool& runs) {
  runs = false;
  if (w.out > kNormBehindWidthMax || w.out % kLane != 0) return cudaSuccess;
  return with_tile_rows(x.rows, [&](auto rows) {
    constexpr int kRows = decltype(rows)::value;
    return w.format == MatrixFormat::kFp8
               ? fit_tiles<E4m3Products, kRows, NormedLinearTail>(w, x, runs)
               : fit_tiles<Bf16Products, kRows, NormedLinearTail>(w, x, runs);
  });
}

cudaError_t linear_normed_many(const Matrix& w, const ManyRows& x, const NormBehind& behind,
                               cudaStream_t stream) {
  if (!can_norm(w, behind)) return cudaErrorInvalidValue;
  // The product writes what the norm reads.
  auto* const y = const_cast<__nv_bfloat16*>(behind.norm.sublayer);
  NormedLinearTail tail;
  static_cast<ManyLinearTail<ManyToBf16>&>(tail) = {{y}, scales_of(w, x), w.out};
  tail.behind = behind;
  return launch_many(w, x, tail, stream);
}

}  // namespace captiond::kernels
