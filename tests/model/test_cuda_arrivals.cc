#define BOOST_TEST_MODULE cuda_arrivals
#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_runtime_api.h>

#include "model/cuda_arrivals.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/grid_arrivals.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond;

BOOST_AUTO_TEST_CASE(one_of_a_device_may_wait_until_it_ends) {
  auto first = std::make_unique<CudaArrivals>();
  BOOST_TEST(first->may_wait());
  BOOST_TEST(first->obstacle().empty());
  {
    const CudaArrivals second;
    BOOST_TEST(!second.may_wait());
    BOOST_TEST(second.obstacle() == "another engine of this process is on this GPU");
  }
  const CudaArrivals third;  // the end of one without the right gives none away
  BOOST_TEST(!third.may_wait());
  first.reset();
  BOOST_TEST(CudaArrivals().may_wait());
}

BOOST_AUTO_TEST_CASE(its_words_are_zero_and_apart) {
  const CudaArrivals arrivals;
  BOOST_TEST(arrivals.bytes() == kernels::kSplitArrivalBytes + kernels::kPackingArrivalBytes);
  BOOST_TEST(arrivals.of_packing() - arrivals.of_splits() ==
             static_cast<std::ptrdiff_t>(kernels::kSplitArrivalBytes / sizeof(unsigned)));
  std::vector<unsigned> words(arrivals.bytes() / sizeof(unsigned), 1U);
  kernels::check_cuda(
      cudaMemcpy(words.data(), arrivals.of_splits(), arrivals.bytes(), cudaMemcpyDeviceToHost),
      "Fetching the words");
  BOOST_TEST(std::all_of(words.begin(), words.end(), [](unsigned word) { return word == 0; }));
}
