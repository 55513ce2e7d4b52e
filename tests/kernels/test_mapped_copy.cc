#define BOOST_TEST_MODULE mapped_copy
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_runtime_api.h>

#include "model/kernels/mapped_copy.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

// Pinned words of the host.
class Pinned {
 public:
  explicit Pinned(std::size_t words) {
    require(cudaHostAlloc(reinterpret_cast<void**>(&words_), words * sizeof(std::uint32_t),
                          cudaHostAllocDefault));
  }
  ~Pinned() { cudaFreeHost(words_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  std::uint32_t* data() const { return words_; }

 private:
  std::uint32_t* words_ = nullptr;
};

// Values from `first` on.
void fill(std::uint32_t* to, std::size_t count, std::uint32_t first) {
  std::iota(to, to + count, first);
}

}  // namespace

BOOST_AUTO_TEST_CASE(bytes_come_and_go_and_their_neighbours_stay) {
  constexpr std::size_t kWords = 100'000;
  const Pinned pinned(kWords);
  const std::vector<std::uint32_t> sevens(kWords, 7);
  for (const std::size_t words : {2UL, 6UL, 510UL, 512UL, 514UL, 4'354UL, 99'998UL}) {
    fill(pinned.data(), kWords, 1000);
    const DeviceArray<std::uint32_t> device(sevens);
    require(fetch_from_host(device.data(), pinned.data(), words * 4, nullptr));
    std::vector<std::uint32_t> want = sevens;
    fill(want.data(), words, 1000);
    BOOST_TEST((device.download() == want), words << " words to the GPU");

    std::fill_n(pinned.data(), kWords, 9U);
    require(hand_to_host(pinned.data(), device.data(), words * 4, nullptr));
    require(cudaDeviceSynchronize());
    want.assign(kWords, 9);
    fill(want.data(), words, 1000);
    BOOST_TEST(std::equal(want.begin(), want.end(), pinned.data()), words << " words to the host");
  }
}

// As the steps of a decode follow each other: the host writes one of two buffers while what it
// wrote before is on its way, and waits for an event only.
BOOST_AUTO_TEST_CASE(what_the_host_has_written_since_is_seen) {
  constexpr std::size_t kWords = 4'354;
  constexpr std::uint32_t kSteps = 400;
  const Pinned tables[2] = {Pinned(kWords), Pinned(kWords)};
  const Pinned results[2] = {Pinned(kWords), Pinned(kWords)};
  const DeviceArray<std::uint32_t> device(kWords);
  cudaStream_t stream = nullptr;
  cudaEvent_t done[2] = {};
  require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (cudaEvent_t& event : done) require(cudaEventCreate(&event));
  std::size_t wrong = 0;
  std::vector<std::uint32_t> want(kWords);
  for (std::uint32_t step = 0; step < kSteps + 2; ++step) {
    const std::size_t turn = step % 2;
    if (step >= 2) {
      require(cudaEventSynchronize(done[turn]));
      fill(want.data(), kWords, (step - 2) * 77);
      wrong += std::equal(want.begin(), want.end(), results[turn].data()) ? 0 : 1;
    }
    if (step >= kSteps) continue;
    fill(tables[turn].data(), kWords, step * 77);
    require(fetch_from_host(device.data(), tables[turn].data(), kWords * 4, stream));
    require(hand_to_host(results[turn].data(), device.data(), kWords * 4, stream));
    require(cudaEventRecord(done[turn], stream));
  }
  BOOST_TEST(wrong == 0U);
  for (cudaEvent_t& event : done) cudaEventDestroy(event);
  cudaStreamDestroy(stream);
}

BOOST_AUTO_TEST_CASE(what_is_no_whole_unit_is_refused) {
  const Pinned pinned(16);
  const DeviceArray<std::uint32_t> device(16);
  auto* const words = pinned.data();
  BOOST_TEST(fetch_from_host(nullptr, words, 8, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(fetch_from_host(device.data(), nullptr, 8, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(fetch_from_host(device.data(), words, 0, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(fetch_from_host(device.data(), words, 12, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(fetch_from_host(device.data(), words + 1, 8, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(hand_to_host(words, device.data() + 1, 8, nullptr) == cudaErrorInvalidValue);
}
