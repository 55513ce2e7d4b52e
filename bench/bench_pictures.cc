// What a picture costs before the model sees it: scaled by a core, and by the GPU beside its limit,
// which is the bytes of the picture at the rate that this run sends pinned memory. The core's share
// of the GPU's way is what its thread computed (the copy into pinned memory).
//
// Usage: bench_pictures

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <time.h>

#include <cuda_runtime_api.h>

#include "model/cuda_memory.h"
#include "model/cuda_picture_patcher.h"
#include "model/kernels/cuda_error.h"
#include "model/vision_patcher.h"

namespace {

using namespace captiond;

constexpr int kPasses = 20;

double wall_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double thread_s() {
  timespec now{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
    throw std::runtime_error("The time that this thread has computed cannot be read.");
  }
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// The best of several passes, after one to warm up.
struct Cost {
  double wall_ms = std::numeric_limits<double>::infinity();
  double thread_ms = std::numeric_limits<double>::infinity();
};

Cost cost(const std::function<void()>& body) {
  Cost best;
  for (int pass = 0; pass <= kPasses; ++pass) {
    const double wall = wall_s();
    const double thread = thread_s();
    body();
    if (pass == 0) continue;
    best.thread_ms = std::min(best.thread_ms, 1e3 * (thread_s() - thread));
    best.wall_ms = std::min(best.wall_ms, 1e3 * (wall_s() - wall));
  }
  return best;
}

// Bytes a second from pinned memory to the GPU.
double bus_rate() {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const PinnedMemory from(kBytes, "the bench");
  const DeviceMemory to(kBytes, "the bench");
  const Cost copy = cost([&] {
    kernels::check_cuda(cudaMemcpy(to.data(), from.data(), kBytes, cudaMemcpyHostToDevice),
                        "A copy of the bench");
  });
  return static_cast<double>(kBytes) / (copy.wall_ms / 1e3);
}

Image noise(ImageSize size) {
  Image image{.size = size, .pixels = std::vector<std::uint8_t>(3 * size.width * size.height)};
  std::mt19937 generator(1);
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(generator());
  return image;
}

void print_row(CudaPicturePatcher& patcher, const Image& image, std::size_t budget, double rate) {
  VisionPatcher on_cpu(image.size, budget);
  std::vector<std::uint8_t> out(on_cpu.grid().bytes());
  const Cost cpu = cost([&] { on_cpu.patch(image.view(), out); });
  VisionPatches patches;
  const Cost gpu = cost([&] { patches = patcher.patches(image.view(), budget); });
  if (patches.pixels != out) throw std::runtime_error("The GPU's patches differ from the CPU's.");
  const double limit_ms = 1e3 * static_cast<double>(image.pixels.size()) / rate;
  std::printf("| %zux%zu | %zu | %.2f | %.3f | %.3f | %.3f | %.1f |\n", image.size.width,
              image.size.height, budget, cpu.thread_ms, gpu.thread_ms, gpu.wall_ms, limit_ms,
              gpu.wall_ms / limit_ms);
}

void run() {
  const double rate = bus_rate();
  std::printf("Pinned memory is sent at %.1f GB/s.\n\n", rate / 1e9);
  std::printf(
      "| picture | budget | CPU: core ms | GPU: core ms | GPU: wall ms | limit ms | wall / limit "
      "|\n|---|---|---|---|---|---|---|\n");
  CudaPicturePatcher patcher(std::size_t{3840} * 2160);
  for (const ImageSize size :
       {ImageSize{640, 480}, ImageSize{1280, 720}, ImageSize{1920, 1080}, ImageSize{3840, 2160}}) {
    const Image image = noise(size);
    for (const std::size_t budget : {std::size_t{70}, std::size_t{280}, std::size_t{1120}}) {
      print_row(patcher, image, budget, rate);
    }
  }
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // each row as soon as it is measured
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_pictures: %s\n", error.what());
    return 1;
  }
}
