// The greedy choice of few rows: the head's product whose tail keeps, instead of the logits, each
// thread's best. Blocks leave their best of every row in `scratch`; the block that ends last picks
// among them. Which block that is does not matter: the larger logit wins, of equals the lower id.

#include <cmath>
#include <limits>

#include "model/kernels/few_rows.cuh"

namespace captiond::kernels {
namespace {

constexpr int kRowsMax = MatrixProducts::kFewRowsMax;

struct Candidate {
  float logit = -std::numeric_limits<float>::infinity();
  int token = std::numeric_limits<int>::max();
  int finite = 1;

  __device__ void meet(const Candidate& other) {
    finite &= other.finite;
    if (other.logit > logit || (other.logit == logit && other.token < token)) {
      logit = other.logit;
      token = other.token;
    }
  }
};

// Zero before the first launch and after each.
struct Scratch {
  unsigned blocks_done;
  unsigned padding[63];
  Candidate best[1];  // [blocks][kRowsMax]
};

struct GreedyTail {
  static constexpr bool kPaired = false;
  static constexpr int kTurnsMax = 2;  // quads of a pass per thread: 64 rows are 512 quads
  Scratch* scratch;
  GreedyChoice* choices;
  const std::uint32_t* suppressed;
  float softcap;
  Candidate best[kTurnsMax][2];

  __device__ void take(int turn, int low, int high, int n, const float4& sum) {
    (void)n;
    see(best[turn][0], low, sum.x);
    see(best[turn][1], low, sum.y);
    see(best[turn][0], high, sum.z);
    see(best[turn][1], high, sum.w);
  }

  __device__ void finish(char* shared, const StreamInput& input) {
    constexpr int kQuadsMax = kTurnsMax * kStreamThreads;
    auto* all = reinterpret_cast<Candidate*>(shared);  // [2][kQuadsMax]
    const int tiles = input.rows <= 8 ? 1 : input.rows <= 16 ? 2 : input.rows <= 32 ? 4 : 8;
#pragma unroll
    for (int turn = 0; turn < kTurnsMax; ++turn)
#pragma unroll
      for (int side = 0; side < 2 && threadIdx.x < kStreamThreads; ++side)  // only they take
        all[side * kQuadsMax + turn * kStreamThreads + threadIdx.x] = best[turn][side];
    __syncthreads();
    const int n = threadIdx.x;
    if (n < input.rows) {
      Candidate row;
      // Of up to eight rows either kernel has a quad a thread, in up to four warps.
      for (int m = 0; m < (tiles == 1 ? kSplitGroupsMost : 2); ++m)
        for (int g = 0; g < 8; ++g)
          row.meet(all[n % 2 * kQuadsMax + (m * tiles + n / 8) * 32 + g * 4 + n % 8 / 2]);
      scratch->best[blockIdx.x * kRowsMax + n] = row;
    }
    if (is_last_block()) choose(input.rows);
  }

 private:
  __device__ void see(Candidate& candidate, int token, float sum) const {
    if (token < 0) return;
    const float logit = softcap > 0.0F ? softcap * tanhf(sum / softcap) : sum;
    const bool hidden = suppressed != nullptr && (suppressed[token / 32] >> (token % 32) & 1U) != 0;
    // A softcapped infinity would look finite: ask the sum.
    candidate.finite &= isfinite(sum) ? 1 : 0;
    // Tokens come in ascending order within a thread, but not across its two halves.
    if (!hidden) candidate.meet({logit, token, 1});
  }

  __device__ bool is_last_block() const {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      // Wraps to zero with the last block: ready for the next launch.
      last = atomicInc(&scratch->blocks_done, gridDim.x - 1) == gridDim.x - 1;
      __threadfence();
    }
    __syncthreads();
    return last;
  }

  __device__ void choose(int rows) const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int n = warp; n < rows; n += kStreamWarps) {
      Candidate row;
      for (unsigned block = lane; block < gridDim.x; block += 32)
        row.meet(scratch->best[block * kRowsMax + n]);
      for (int apart = 16; apart > 0; apart /= 2) {
        Candidate other;
        other.logit = __shfl_xor_sync(~0U, row.logit, apart);
        other.token = __shfl_xor_sync(~0U, row.token, apart);
        other.finite = __shfl_xor_sync(~0U, row.finite, apart);
        row.meet(other);
      }
      if (lane == 0) choices[n] = {row.token, row.finite};
    }
  }
};

// The finish needs 2 * 512 candidates where the exchange of the sums stood.
static_assert(sizeof(Candidate) * 2 * 512 <= Exchange<1>::kBytes);

}  // namespace

std::size_t greedy_scratch_bytes(int blocks) noexcept {
  return sizeof(Scratch) + sizeof(Candidate) * kRowsMax * static_cast<std::size_t>(blocks);
}

cudaError_t greedy_few(const Head& head, const FewRows& x, void* scratch, GreedyChoice* choices,
                       cudaStream_t stream) noexcept {
  if (scratch == nullptr || choices == nullptr || !(head.softcap >= 0.0F))
    return cudaErrorInvalidValue;
  GreedyTail tail{.scratch = static_cast<Scratch*>(scratch),
                  .choices = choices,
                  .suppressed = head.suppressed,
                  .softcap = head.softcap,
                  .best = {}};
  return launch_few(head.embedding, x, tail, stream);
}

}  // namespace captiond::kernels
