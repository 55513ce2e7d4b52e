#define BOOST_TEST_MODULE pack_matrix
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/pack_matrix.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

std::vector<__nv_bfloat16> unpacked(const MatrixCase& w) {
  const DeviceArray<__nv_bfloat16> target(w.source.size());
  require(unpack_matrix(w.matrix, target.data(), nullptr));
  return target.download();
}

constexpr MatrixFormat kPacked[] = {MatrixFormat::kFp8, MatrixFormat::kInt8, MatrixFormat::kInt4};

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_packed_and_unpacked_is_what_the_format_promises) {
  for (const MatrixFormat format : kPacked)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{{1, 32}, {3, 288}, {100, 3840}}) {
      const MatrixCase w(format, out, in);
      std::vector<__nv_bfloat16> want;
      for (const float value : w.worth) want.push_back(__float2bfloat16(value));
      BOOST_TEST(same_bits(unpacked(w), want), w.name());
    }
  const MatrixCase odd(MatrixFormat::kInt8, 5, 24);
  for (std::size_t i = 0; i < odd.worth.size(); ++i)
    BOOST_TEST(bits(unpacked(odd)[i]) == bits(__float2bfloat16(odd.worth[i])));
}

BOOST_AUTO_TEST_CASE(the_error_of_a_value_is_at_most_half_a_step) {
  for (const MatrixFormat format : kPacked) {
    const MatrixCase w(format, 64, 512);
    const auto back = unpacked(w);
    for (std::size_t i = 0; i < back.size(); ++i) {
      const double value = wide(w.source[i]), error = std::fabs(wide(back[i]) - value);
      // The values are uniform in ±0.1. int8: a step of 0.1 / 127; fp8: 3 fraction bits; int4: a
      // step of 0.1 / 8, a whole one at the end that has no 8; and bf16 on the way out.
      const double step = format == MatrixFormat::kInt8   ? 0.1 / 127
                          : format == MatrixFormat::kInt4 ? 2 * 0.1 / 8
                                                          : std::fabs(value) / 8 + 0.1 / 448 / 64;
      BOOST_TEST_REQUIRE(error <= step * 0.51 + kHalfUlp * std::fabs(value) + 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(zeros_stay_zeros_and_rubbish_becomes_nan) {
  for (const MatrixFormat format : kPacked) {
    std::vector<__nv_bfloat16> values(std::size_t{3} * 64, __float2bfloat16(0.0F));
    values[64 + 3] = __float2bfloat16(std::numeric_limits<float>::infinity());
    values[128] = __float2bfloat16(1.0F);
    const MatrixCase w(format, 3, 64, values);
    const auto back = unpacked(w);
    for (std::size_t i = 0; i < 64; ++i) BOOST_TEST_REQUIRE(wide(back[i]) == 0.0);
    for (std::size_t i = 64; i < 96; ++i) BOOST_TEST_REQUIRE(std::isnan(wide(back[i])));
    BOOST_TEST(wide(back[128]) == 1.0);
    for (std::size_t i = 129; i < 192; ++i) BOOST_TEST_REQUIRE(wide(back[i]) == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(formats_and_sizes_that_cannot_be_packed_are_refused) {
  const DeviceArray<__nv_bfloat16> source(64);
  const DeviceArray<float> scales(8);
  Matrix matrix{.format = MatrixFormat::kInt8,
                .values = source.data(),
                .scales = scales.data(),
                .out = 1,
                .in = 12};
  BOOST_TEST(pack_matrix(source.data(), matrix, nullptr) == cudaErrorInvalidValue);
  matrix.in = 40;
  matrix.format = MatrixFormat::kInt4;
  BOOST_TEST(pack_matrix(source.data(), matrix, nullptr) == cudaErrorInvalidValue);
  matrix.format = MatrixFormat::kBf16;
  BOOST_TEST(pack_matrix(source.data(), matrix, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(unpack_matrix(matrix, source.data(), nullptr) == cudaErrorInvalidValue);
}
