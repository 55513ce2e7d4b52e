// Drawing tokens without sorting. What stays is found by radix selection over keys that order the
// logits: histograms of eleven bits of the key, of numbers of ids for top_k and of weights for
// top_p. So many bits, because the exponents of logits are few: with eight almost all ids of the
// first histogram would meet in six bins. The draw goes by id: a sum of each 32nd part of the
// vocabulary, then of each 32nd part of the part that it falls into, until that is one id. All sums
// are of integers, so nothing depends on the order of the atomics.

#include <climits>
#include <cstddef>
#include <cstdint>

#include "model/kernels/matrix_products.h"
#include "model/kernels/programmatic_launch.cuh"
#include "model/kernels/sample.h"

namespace captiond::kernels {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kBins = 2 * kThreads;  // a digit of eleven bits
constexpr int kDigitShift = 21;
constexpr int kVocabularyMax = 1 << 23;  // sums of its weights of 2^40 fit 64 bits

struct Scratch {
  std::uint32_t low[kBins];  // sums by digit, in two halves
  std::uint32_t high[kBins];
  std::uint64_t sums[kWarps];
  std::uint32_t most[kWarps];
  std::uint32_t digit;
  std::uint64_t missing;
  std::uint64_t tied;
};

// Where ids, taken by falling logit, reach a share of a sum.
struct Edge {
  std::uint32_t key;      // of the logit that reaches it
  std::uint64_t missing;  // what ids of this key have to give
  std::uint64_t tied;     // what they have
};

// One row, by all threads of a block: every member function is called by all of them.
class Row {
 public:
  __device__ Row(const Sample& work, Scratch& shared)
      : logits_(work.logits + static_cast<std::size_t>(blockIdx.x) * work.vocabulary),
        vocabulary_(work.vocabulary),
        suppressed_(work.suppressed),
        shared_(shared) {}

  __device__ GreedyChoice choose(const Draw& draw) {
    const std::uint32_t largest = largest_key();
    if (largest == 0) return {};
    largest_ = logit_of_key(largest);
    scale_ = draw.scale;
    if (draw.top_k == 1) edge_ = largest;
    if (draw.top_k > 1 && draw.top_k < vocabulary_) keep_top_k(draw.top_k);
    if (draw.top_p != 0) keep_top_p(draw.top_p);
    const auto weight = [&](int id, float logit) { return kept_weight(id, logit); };
    return {.token = find(weight, [&](auto sum) { return upper_product(sum, draw.random); }),
            .finite = 1};
  }

 private:
  // visit(id, logit) for first, first + apart, … below `end`; loads some logits ahead.
  template <class Visit>
  __device__ void each(int first, int end, int apart, Visit visit) const {
    constexpr int kAhead = 8;
    for (int begin = first; begin < end; begin += kAhead * apart) {
      float held[kAhead];
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int id = begin + i * apart;
        held[i] = id < end ? logits_[id] : 0.0F;
      }
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int id = begin + i * apart;
        if (id < end) visit(id, held[i]);
      }
    }
  }

  // Calls its argument for each id of the row.
  __device__ auto all_ids() const {
    return
        [this](auto visit) { each(static_cast<int>(threadIdx.x), vocabulary_, kThreads, visit); };
  }

  // 0: suppressed.
  __device__ std::uint32_t key(int id, float logit) const {
    if (suppressed_ != nullptr && (suppressed_[id / 32] >> (id % 32) & 1U) != 0) return 0;
    return key_of_logit(logit);
  }

  // 0 for what is not kept.
  __device__ std::uint64_t kept_weight(int id, float logit) const {
    const std::uint32_t own = key(id, logit);
    if (own < edge_ || (own == edge_ && id > last_tied_)) return 0;
    return weight_of_logit(logit, largest_, scale_);
  }

  // 0: some logit is not finite, or all are suppressed.
  __device__ std::uint32_t largest_key() {
    std::uint32_t most = 0;
    bool finite = true;
    each(static_cast<int>(threadIdx.x), vocabulary_, kThreads, [&](int id, float logit) {
      finite = finite && isfinite(logit);
      most = max(most, key(id, logit));
    });
    most_of_thread_ = most;
    most = __reduce_max_sync(~0U, most);
    const unsigned lane = threadIdx.x % 32;
    if (lane == 0) shared_.most[threadIdx.x / 32] = most;
    finite = __syncthreads_and(finite ? 1 : 0) != 0;
    most = __reduce_max_sync(~0U, shared_.most[lane]);
    return finite ? most : 0;
  }

  __device__ void keep_top_k(int top_k) {
    const auto wanted = static_cast<std::uint64_t>(top_k);
    std::uint64_t ids = 0;
    const auto share = [&](std::uint64_t sum) {
      ids = sum;
      return min(sum, wanted);
    };
    // The k-th largest of what the threads found is no more than that of all ids, and near it: so
    // only some of the ids have to be counted.
    const auto ids_of_threads = [&](auto visit) {
      if (most_of_thread_ != 0) visit(0, logit_of_key(most_of_thread_));
    };
    const Edge edge = find_edge(
        ids_of_threads, [](int, float) { return std::uint64_t{1}; }, share);
    if (ids >= wanted) edge_ = edge.key;
    const auto one = [&](int id, float logit) {
      return std::uint64_t{key(id, logit) >= edge_ ? 1U : 0U};
    };
    edge_ = find_edge(all_ids(), one, share).key;
  }

  __device__ void keep_top_p(std::uint64_t top_p) {
    const auto weight = [&](int id, float logit) { return kept_weight(id, logit); };
    const Edge edge =
        find_edge(all_ids(), weight, [&](auto sum) { return share_of_top_p(sum, top_p); });
    // Ids of one key have one weight.
    const std::uint64_t each_has = weight_of_logit(logit_of_key(edge.key), largest_, scale_);
    const std::uint64_t ids = (edge.missing + each_has - 1) / each_has;
    edge_ = edge.key;
    if (ids * each_has == edge.tied) return;
    const auto one = [&](int id, float logit) {
      return std::uint64_t{key(id, logit) == edge_ ? 1U : 0U};
    };
    last_tied_ = find(one, [&](std::uint64_t) { return ids - 1; });
  }

  // The first id at which the running sum of amount(id, logit) exceeds limit_of(whole sum), which
  // is less than that sum.
  template <class Amount, class Limit>
  __device__ int find(Amount amount, Limit limit_of) const {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    int begin = 0, end = vocabulary_;
    std::uint64_t limit = 0;
    for (bool whole = true; whole || end - begin > 1; whole = false) {
      const int part = (end - begin + kWarps - 1) / kWarps;
      const int from = min(begin + warp * part, end);
      std::uint64_t sum = 0;
      each(from + lane, min(from + part, end), 32,
           [&](int id, float logit) { sum += amount(id, logit); });
      for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0U, sum, apart);
      __syncthreads();  // who reads the sums of before has
      if (lane == 0) shared_.sums[warp] = sum;
      __syncthreads();
      if (whole) limit = limit_of(sum_before(kWarps));
      int taken = 0;
      while (taken + 1 < kWarps && limit >= shared_.sums[taken]) limit -= shared_.sums[taken++];
      begin = min(begin + taken * part, end);
      end = min(begin + part, end);
    }
    return begin;
  }

  // Of amount(id, logit), 0 for what does not count, over the ids that `visit_ids` visits;
  // share_of(whole sum) is 1 to that sum.
  template <class Ids, class Amount, class Share>
  __device__ Edge find_edge(Ids visit_ids, Amount amount, Share share_of) const {
    Edge edge{};
    for (int known = 0; known < 32; known += 32 - kDigitShift) {  // leading bits of edge.key
      clear_bins();
      visit_ids([&](int id, float logit) {
        const std::uint32_t own = key_of_logit(logit);
        if (known > 0 && ((own ^ edge.key) >> (32 - known)) != 0) return;
        add((own << known) >> kDigitShift, amount(id, logit));
      });
      __syncthreads();
      pick_bin(known == 0, share_of, edge.missing);
      edge.key |= (shared_.digit << kDigitShift) >> known;
      edge.missing = shared_.missing;
      edge.tied = shared_.tied;
    }
    return edge;
  }

  __device__ void clear_bins() const {
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads)
      shared_.low[bin] = shared_.high[bin] = 0;
    __syncthreads();
  }

  __device__ void add(std::uint32_t bin, std::uint64_t amount) const {
    if (amount == 0) return;
    const auto low = static_cast<std::uint32_t>(amount);
    const std::uint32_t before = atomicAdd(&shared_.low[bin], low);
    const std::uint32_t high =
        static_cast<std::uint32_t>(amount >> 32) + (before + low < before ? 1U : 0U);
    if (high != 0) atomicAdd(&shared_.high[bin], high);
  }

  __device__ std::uint64_t bin(int index) const {
    return std::uint64_t{shared_.high[index]} << 32 | shared_.low[index];
  }

  // The bin, from the last one down, in which the running sum reaches `share`.
  template <class Share>
  __device__ void pick_bin(bool whole, Share share_of, std::uint64_t share) const {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int upper = kBins - 1 - 2 * static_cast<int>(threadIdx.x);
    const std::uint64_t own = bin(upper) + bin(upper - 1);
    std::uint64_t through = own;  // of this warp's threads up to this one
    for (int apart = 1; apart < 32; apart *= 2) {
      const std::uint64_t other = __shfl_up_sync(~0U, through, apart);
      if (static_cast<int>(threadIdx.x) % 32 >= apart) through += other;
    }
    if (threadIdx.x % 32 == 31) shared_.sums[warp] = through;
    __syncthreads();
    if (whole) share = share_of(sum_before(kWarps));
    const std::uint64_t before = sum_before(warp) + through - own;
    if (before < share && share <= before + own) {
      const bool first = share <= before + bin(upper);
      shared_.digit = static_cast<std::uint32_t>(first ? upper : upper - 1);
      shared_.missing = share - before - (first ? 0 : bin(upper));
      shared_.tied = bin(first ? upper : upper - 1);
    }
    __syncthreads();
  }

  __device__ std::uint64_t sum_before(int warp) const {
    std::uint64_t sum = 0;
    for (int i = 0; i < warp; ++i) sum += shared_.sums[i];
    return sum;
  }

  const float* logits_;
  int vocabulary_;
  const std::uint32_t* suppressed_;
  Scratch& shared_;
  float largest_ = 0.0F;
  float scale_ = 0.0F;
  // Kept are ids of larger keys, and of this key those up to last_tied_. No logit's key is 0.
  std::uint32_t edge_ = 1;
  int last_tied_ = INT_MAX;
  std::uint32_t most_of_thread_ = 0;  // of the ids that this thread compared for the largest
};

__global__ void __launch_bounds__(kThreads) sample_kernel(const Sample work) {
  __shared__ Scratch shared;
  wait_for_previous_kernels();
  Row row(work, shared);
  const GreedyChoice choice = row.choose(work.draws[blockIdx.x]);
  if (threadIdx.x == 0) work.choices[blockIdx.x] = choice;
}

}  // namespace

cudaError_t sample(const Sample& work, int rows, cudaStream_t stream) noexcept {
  if (work.logits == nullptr || work.draws == nullptr || work.choices == nullptr || rows <= 0 ||
      work.vocabulary <= 0 || work.vocabulary > kVocabularyMax)
    return cudaErrorInvalidValue;
  const LaunchShape shape{.blocks = dim3(static_cast<unsigned>(rows)), .threads = dim3(kThreads)};
  return launch(sample_kernel, shape, stream, work);
}

}  // namespace captiond::kernels
