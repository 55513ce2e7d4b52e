// A linear product of many rows and the norms behind it in one launch.

#include "model/kernels/many_last_phase.cuh"
#include "model/kernels/norm_behind.h"
#include "model/kernels/norm_row.cuh"

namespace captiond::kernels {
namespace {

// Each block norms a row with the operations of norm.cu and norm_packing.cu, in the order of their
// blocks of a thread for eight values: so bits are the same.
struct NormedTail : LastPhaseTail<NormBehind> {
  template <int kRows>
  __device__ void after(const Kept& kept, const TileTask& task, const TileInput& input) const {
    __shared__ NormScratch scratch;
    const int end = min(input.rows, kRows * (task.split + 1) / input.splits);
    const int row = kRows * task.split / input.splits + task.first_tile;
    arrive(task);
    norm_rows(behind, row, end, task.tile_stride, scratch, [&] { wait(kept, task); });
  }
};

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
  return last_phase_fits<NormedTail>(w, x, runs);
}

cudaError_t linear_normed_many(const Matrix& w, const ManyRows& x, const NormBehind& behind,
                               cudaStream_t stream) {
  if (!can_norm(w, behind)) return cudaErrorInvalidValue;
  return launch_last_phase<NormedTail>(w, x, behind, behind.norm.sublayer, stream);
}

}  // namespace captiond::kernels
