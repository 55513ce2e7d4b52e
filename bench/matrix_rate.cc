#include "bench/matrix_rate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <chrono>

namespace captiond {

double matrix_multiply_adds_per_s(int threads) {
  at::set_num_threads(threads);
  constexpr int kSide = 1024;
  const at::Tensor a = at::rand({kSide, kSide});
  const at::Tensor b = at::rand({kSide, kSide});
  double best = 0;
  for (int pass = 0; pass < 10; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    const at::Tensor c = at::mm(a, b);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, double{kSide} * kSide * kSide / took.count());
  }
  return best;
}

}  // namespace captiond
