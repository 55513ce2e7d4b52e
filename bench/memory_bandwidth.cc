#include "bench/memory_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace captiond {
namespace {

constexpr std::size_t kWordsPerThread = std::size_t{64} << 20;  // 512 MiB each

// Eight independent sums, so that the adds do not wait for each other and the loop vectorises.
std::uint64_t sum_of(const std::vector<std::uint64_t>& words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= words.size(); i += 8)
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double read_bandwidth_bytes_per_s(int threads) {
  std::vector<std::vector<std::uint64_t>> buffers(static_cast<std::size_t>(threads));
  {
    std::vector<std::jthread> workers;
    workers.reserve(buffers.size());
    for (auto& buffer : buffers)
      workers.emplace_back([&buffer] { buffer.assign(kWordsPerThread, 1); });
  }
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    std::vector<std::uint64_t> sums(buffers.size());
    const auto begin = std::chrono::steady_clock::now();
    {
      std::vector<std::jthread> workers;
      workers.reserve(buffers.size());
      for (std::size_t i = 0; i < buffers.size(); ++i)
        workers.emplace_back([&, i] { sums[i] = sum_of(buffers[i]); });
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    for (const std::uint64_t sum : sums)
      if (sum != kWordsPerThread) return 0;  // cannot happen; keeps the sums alive
    const double bytes = static_cast<double>(buffers.size() * kWordsPerThread * 8);
    best = std::max(best, bytes / took.count());
  }
  return best;
}

}  // namespace captiond
