// What choosing tokens costs: the kernel that draws from the logits of the 12B, for each way of
// drawing and number of rows, beside its limit, which is reading all logits once at the rate that
// this run reads memory. It reads them two to nine times, a multiprocessor a row, so that few
// rows are far from it: the time is what counts, beside the milliseconds of a step.
//
// Usage: bench_sampling

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include <cuda_runtime_api.h>

#include "bench/device_rates.h"
#include "model/cuda_memory.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/sample.h"

namespace {

using namespace captiond;
using kernels::Draw;

constexpr int kVocabulary = 262144, kRowsMax = 128, kPasses = 11, kLaunches = 8;
constexpr float kSoftcap = 30.0F;

void require(cudaError_t status) { kernels::check_cuda(status, "A CUDA call of the bench"); }

struct Way {
  std::string_view name;
  Draw draw;
};

Draw with(float temperature, int top_k, double top_p) {
  return {.random = 0x9E3779B97F4A7C15U,
          .top_p = top_p < 1 ? static_cast<std::uint64_t>(top_p * 0x1p64) : 0,
          .top_k = top_k,
          .scale = static_cast<float>(1 / (std::log(2.0) * temperature))};
}

const Way kWays[] = {{"greedy", {}},
                     {"temperature 1", with(1, 0, 1)},
                     {"temperature 1, top_k 64", with(1, 64, 1)},
                     {"temperature 1, top_k 64, top_p 0.95", with(1, 64, 0.95)},
                     {"temperature 1, top_p 0.95", with(1, 0, 0.95)},
                     {"temperature 50, top_p 0.95", with(50, 0, 0.95)}};

class Bench {
 public:
  Bench()
      : logits_(std::size_t{kRowsMax} * kVocabulary * sizeof(float), "the bench"),
        draws_(kRowsMax * sizeof(Draw), "the bench"),
        choices_(kRowsMax * sizeof(kernels::GreedyChoice), "the bench") {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal(0, 4);
    std::vector<float> row(kVocabulary);
    for (std::size_t i = 0; i < kRowsMax; ++i) {
      for (float& logit : row) logit = kSoftcap * std::tanh(normal(generator) / kSoftcap);
      require(cudaMemcpy(logits_.as<float>() + i * kVocabulary, row.data(),
                         row.size() * sizeof(float), cudaMemcpyHostToDevice));
    }
    require(cudaEventCreate(&begin_));
    require(cudaEventCreate(&end_));
  }
  ~Bench() {
    cudaEventDestroy(end_);
    cudaEventDestroy(begin_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // Seconds of a launch: the best of several passes, after one to warm up.
  double seconds(const Draw& draw, int rows) {
    const std::vector<Draw> draws(static_cast<std::size_t>(rows), draw);
    require(cudaMemcpy(draws_.data(), draws.data(), draws.size() * sizeof(Draw),
                       cudaMemcpyHostToDevice));
    const kernels::Sample work{.logits = logits_.as<float>(),
                               .vocabulary = kVocabulary,
                               .draws = draws_.as<Draw>(),
                               .choices = choices_.as<kernels::GreedyChoice>()};
    float best = std::numeric_limits<float>::infinity();
    for (int pass = 0; pass <= kPasses; ++pass) {
      require(cudaEventRecord(begin_, nullptr));
      for (int launch = 0; launch < kLaunches; ++launch) {
        require(kernels::sample(work, rows, nullptr));
      }
      require(cudaEventRecord(end_, nullptr));
      require(cudaEventSynchronize(end_));
      float ms = 0;
      require(cudaEventElapsedTime(&ms, begin_, end_));
      if (pass > 0) best = std::min(best, ms);
    }
    return best * 1e-3 / kLaunches;
  }

 private:
  DeviceMemory logits_, draws_, choices_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

void run() {
  const double rate = device_rates().read_bytes_per_s;
  std::printf("Memory is read at %.0f GB/s.\n\n", rate * 1e-9);
  std::printf("| drawn with | rows | us | limit us | limit / measured |\n|---|---|---|---|---|\n");
  Bench bench;
  for (const Way& way : kWays) {
    for (const int rows : {1, 8, 32, kRowsMax}) {
      const double took = bench.seconds(way.draw, rows);
      const double limit = static_cast<double>(rows) * kVocabulary * sizeof(float) / rate;
      std::printf("| %s | %d | %.1f | %.2f | %.3f |\n", way.name.data(), rows, took * 1e6,
                  limit * 1e6, limit / took);
    }
  }
}

}  // namespace

int main() {
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_sampling: %s\n", error.what());
    return 1;
  }
}
