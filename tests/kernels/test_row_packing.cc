#define BOOST_TEST_MODULE row_packing
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/norm.h"
#include "model/kernels/norm_packing.h"
#include "model/kernels/pack_matrix.h"
#include "model/kernels/row_packing.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

// The bytes of packed rows with their scales.
struct Packed {
  DeviceArray<char> values;
  DeviceArray<float> scales;

  Packed(int rows, int in)
      : values(matrix_bytes(MatrixFormat::kFp8, rows, in).values),
        scales(static_cast<std::size_t>(rows)) {}
  PackedRows rows() const { return {.values = values.data(), .scales = scales.data()}; }
};

// pack_matrix() has a test of its own against the definition (test_pack_matrix).
void check_equal_to_a_matrix(const DeviceArray<__nv_bfloat16>& x, int rows, int in,
                             const Packed& got) {
  const Packed want(rows, in);
  require(pack_matrix(x.data(),
                      {.format = MatrixFormat::kFp8,
                       .values = want.values.data(),
                       .scales = want.scales.data(),
                       .out = rows,
                       .in = in},
                      nullptr));
  BOOST_TEST((got.values.download() == want.values.download()),
             rows << " rows of " << in << ": bytes");
  const auto scales = got.scales.download(), wanted = want.scales.download();
  BOOST_TEST(std::memcmp(scales.data(), wanted.data(), scales.size() * sizeof(float)) == 0,
             rows << " rows of " << in << ": scales");
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_are_packed_like_the_rows_of_a_matrix) {
  for (const int in : {8, 24, 480, 1000, 3840, 4096, 8192, 15360, kPackedRowMax})
    for (const int rows : {1, 7, 100, 300}) {
      auto values =
          uniform_bf16(static_cast<std::size_t>(rows) * static_cast<std::size_t>(in), 3, 20.0F);
      values[0] = __float2bfloat16(-0.0F);
      // One row of zeros, whose scale is 1.
      if (rows > 2)
        for (int i = 0; i < in; ++i)
          values[static_cast<std::size_t>(in + i)] = __float2bfloat16(0.0F);
      const DeviceArray<__nv_bfloat16> x(values);
      const Packed packed(rows, in);
      require(pack_rows(x.data(), in, rows, packed.rows(), nullptr));
      check_equal_to_a_matrix(x, rows, in, packed);
    }
}

BOOST_AUTO_TEST_CASE(a_norm_is_packed_as_if_it_stood_in_memory) {
  for (const int width : {8, 40, 264, 3840, kNormWidthMax}) {
    constexpr int kRows = 7;
    const auto w = static_cast<std::size_t>(width);
    const DeviceArray<__nv_bfloat16> x(random_bf16(kRows * w, 1, 30.0F));
    const DeviceArray<__nv_bfloat16> weight(random_bf16(w, 2, 2.0F));
    const DeviceArray<__nv_bfloat16> y(kRows * w);
    const DeviceArray<int> rows(std::vector<int>{6, 0, 6, 1, 5, 2, 3});
    RmsNorm norm{.x = x.data(), .rows = rows.data(), .width = width, .eps = 1e-6F};
    for (const bool weighted : {false, true}) {
      norm.weight = weighted ? weight.data() : nullptr;
      norm.y = y.data();
      require(rms_norm(norm, kRows, nullptr));
      norm.y = nullptr;
      const Packed packed(kRows, width);
      require(pack_rms_norm(norm, packed.rows(), kRows, nullptr));
      check_equal_to_a_matrix(y, kRows, width, packed);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_seam_is_packed_as_if_it_stood_in_memory) {
  for (const int width : {8, 40, 264, 3840, kNormWidthMax}) {
    constexpr int kRows = 5;
    const auto w = static_cast<std::size_t>(width);
    const auto before = random_bf16(kRows * w, 1, 5.0F);
    const DeviceArray<__nv_bfloat16> sublayer(random_bf16(kRows * w, 2, 30.0F));
    const DeviceArray<__nv_bfloat16> post(random_bf16(w, 3, 20.0F));
    const DeviceArray<__nv_bfloat16> pre(random_bf16(w, 4, 0.5F, 1.0F));
    const DeviceArray<__nv_bfloat16> scalar(random_bf16(1, 5, 0.1F, 0.7F));
    for (const bool scaled : {false, true}) {
      const DeviceArray<__nv_bfloat16> hidden(before), other(before), y(kRows * w);
      ResidualNorm norm{.sublayer = sublayer.data(),
                        .post_weight = post.data(),
                        .scalar = scaled ? scalar.data() : nullptr,
                        .pre_weight = pre.data(),
                        .hidden = hidden.data(),
                        .y = y.data(),
                        .width = width,
                        .eps = 1e-6F};
      require(residual_norm(norm, kRows, nullptr));
      norm.hidden = other.data();
      norm.y = nullptr;
      const Packed packed(kRows, width);
      require(pack_residual_norm(norm, packed.rows(), kRows, nullptr));
      check_equal_to_a_matrix(y, kRows, width, packed);
      const auto want = hidden.download(), got = other.download();
      BOOST_TEST(std::memcmp(want.data(), got.data(), want.size() * sizeof(want[0])) == 0,
                 "the sums of " << width);
    }
  }
}

BOOST_AUTO_TEST_CASE(norms_that_cannot_be_packed_are_refused) {
  const DeviceArray<__nv_bfloat16> x(64);
  const Packed packed(1, 64);
  const RmsNorm norm{.x = x.data(), .width = 64, .eps = 1e-6F};
  RmsNorm kept = norm;
  kept.y = x.data();
  BOOST_TEST(pack_rms_norm(norm, {}, 1, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(pack_rms_norm(kept, packed.rows(), 1, nullptr) == cudaErrorInvalidValue);
  ResidualNorm seam{
      .sublayer = x.data(), .post_weight = x.data(), .hidden = x.data(), .width = 64, .eps = 1e-6F};
  BOOST_TEST(pack_residual_norm(seam, packed.rows(), 1, nullptr) == cudaErrorInvalidValue);
  seam.pre_weight = x.data();
  BOOST_TEST(pack_residual_norm(seam, packed.rows(), 0, nullptr) == cudaErrorInvalidValue);
}

BOOST_AUTO_TEST_CASE(a_row_that_is_not_finite_gets_the_scale_nan_and_no_other) {
  constexpr int kRows = 5, kIn = 3840;
  for (const float rubbish :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    auto values = uniform_bf16(std::size_t{kRows} * kIn, 5, 1.0F);
    values[2 * kIn + 3801] = __float2bfloat16(rubbish);
    const DeviceArray<__nv_bfloat16> x(values);
    const Packed packed(kRows, kIn);
    require(pack_rows(x.data(), kIn, kRows, packed.rows(), nullptr));
    const auto scales = packed.scales.download();
    for (std::size_t row = 0; row < scales.size(); ++row)
      BOOST_TEST(std::isnan(scales[row]) == (row == 2));
  }
}

BOOST_AUTO_TEST_CASE(rows_that_cannot_be_packed_are_refused) {
  const DeviceArray<__nv_bfloat16> x(std::size_t{2} * (kPackedRowMax + 8));
  const Packed packed(2, kPackedRowMax + 8);
  const auto status = [&](int in, int rows, const PackedRows& target) {
    return pack_rows(x.data(), in, rows, target, nullptr);
  };
  BOOST_TEST(status(kPackedRowMax + 8, 1, packed.rows()) == cudaErrorInvalidValue);
  BOOST_TEST(status(12, 1, packed.rows()) == cudaErrorInvalidValue);
  BOOST_TEST(status(16, 0, packed.rows()) == cudaErrorInvalidValue);
  BOOST_TEST(status(16, 1, {}) == cudaErrorInvalidValue);
}
