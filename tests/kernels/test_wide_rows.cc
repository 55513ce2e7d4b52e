#define BOOST_TEST_MODULE wide_rows
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/wide_rows.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr MatrixFormat kFp8 = MatrixFormat::kFp8;

// Sums of e4m3 are made along the whole of `in`.
constexpr double kWholeChain = 48;

using Product = cudaError_t (*)(const Matrix&, const ManyRows&, __nv_bfloat16*, cudaStream_t);

// The product of `rows` rows, and that nothing is written behind them.
std::vector<__nv_bfloat16> result(Product product, const MatrixCase& w, const RowsCase& x, int rows,
                                  int width, int blocks = kBlocks) {
  const DeviceArray<__nv_bfloat16> y(elements(rows + 1, width));
  require(cudaMemset(y.data(), 0x55, y.size() * sizeof(__nv_bfloat16)));
  require(product(w.matrix, x.many(rows, blocks), y.data(), nullptr));
  auto all = y.download();
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(elements(rows, width));
  BOOST_TEST(
      std::all_of(end, all.end(), [](__nv_bfloat16 value) { return bits(value) == 0x5555; }));
  all.erase(end, all.end());
  return all;
}

void check_linear(int out, int in, const std::vector<int>& row_counts) {
  const MatrixCase w(kFp8, out, in);
  const int most = *std::max_element(row_counts.begin(), row_counts.end());
  const RowsCase x(kFp8, most, in);
  const auto exact = x.exact(w, most, kWholeChain);
  for (const int rows : row_counts)
    within(widened(result(linear_wide, w, x, rows, out)), rounded_to_bf16(first(exact, rows, out)),
           w.name() + ", " + std::to_string(rows) + " rows");
}

void check_gate_up(int inner, int in, int rows) {
  const MatrixCase w(kFp8, 2 * inner, in);
  const RowsCase x(kFp8, rows, in);
  within(widened(result(gate_up_wide, w, x, rows, inner)),
         gate_up_of(x.exact(w, rows, kWholeChain), inner),
         "gate and up of " + w.name() + ", " + std::to_string(rows) + " rows");
}

}  // namespace

BOOST_AUTO_TEST_CASE(odd_shapes_equal_the_exact_product) {
  for (const auto& [out, in] : std::vector<std::pair<int, int>>{
           {8, 8}, {64, 64}, {136, 1000}, {248, 96}, {520, 2080}, {3848, 224}})
    check_linear(out, in, {1, 63, 64, 65, 128, 200, 257, 700});
}

BOOST_AUTO_TEST_CASE(the_shapes_of_the_12b_equal_the_exact_product) {
  for (const auto& [out, in] :
       std::vector<std::pair<int, int>>{{8192, 3840}, {3840, 4096}, {3840, 15360}})
    check_linear(out, in, {130, 260});
}

BOOST_AUTO_TEST_CASE(gate_and_up_equal_the_exact_gelu_and_product) {
  check_gate_up(8, 32, 40);
  check_gate_up(136, 1000, 300);
  check_gate_up(4104, 224, 513);
  check_gate_up(15360, 3840, 140);
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_every_company_and_run) {
  constexpr int kIn = 1952, kMost = 600;
  for (const int out : {1008, 3840, 8192}) {
    const MatrixCase w(kFp8, out, kIn);
    const RowsCase x(kFp8, kMost, kIn);
    for (const Product product : {linear_wide, gate_up_wide}) {
      const int width = product == gate_up_wide ? out / 2 : out;
      const auto together = result(product, w, x, kMost, width);
      for (const int rows : {1, 100, 256, 257, 599, 600})
        for (const int blocks : {kBlocks, 7}) {
          const std::vector<__nv_bfloat16> want(
              together.begin(),
              together.begin() + static_cast<std::ptrdiff_t>(elements(rows, width)));
          BOOST_TEST(same_bits(result(product, w, x, rows, width, blocks), want),
                     w.name() << ", " << rows << " rows on " << blocks << " blocks");
        }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_of_rubbish_stays_alone) {
  constexpr int kOut = 304, kIn = 512, kRows = 300;
  for (const float rubbish :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const MatrixCase w(kFp8, kOut, kIn);
    auto values = uniform_bf16(std::size_t{kRows} * kIn, 7, 1.0F);
    values[9 * kIn + 77] = __float2bfloat16(rubbish);
    const RowsCase x(kFp8, kRows, kIn, values);
    const auto got = widened(result(linear_wide, w, x, kRows, kOut));
    for (std::size_t i = 0; i < got.size(); ++i)
      BOOST_TEST_REQUIRE(std::isfinite(got[i]) == (i / kOut != 9));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused) {
  const MatrixCase w(kFp8, 64, 64), odd(kFp8, 1000, 64);
  const RowsCase x(kFp8, 300, 64);
  const DeviceArray<__nv_bfloat16> y(std::size_t{300} * 1000);
  for (const Product product : {linear_wide, gate_up_wide}) {
    const auto status = [&](const Matrix& matrix, const ManyRows& rows) {
      return product(matrix, rows, y.data(), nullptr);
    };
    BOOST_TEST(status(w.matrix, x.many(0)) == cudaErrorInvalidValue);
    BOOST_TEST(status(w.matrix, x.many(300, 1)) == cudaErrorInvalidValue);
    for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kInt8}) {
      Matrix other = w.matrix;
      other.format = format;
      BOOST_TEST(status(other, x.many(300)) == cudaErrorInvalidValue);
    }
    ManyRows unscaled = x.many(300);
    unscaled.scales = nullptr;
    BOOST_TEST(status(w.matrix, unscaled) == cudaErrorInvalidValue);
    BOOST_TEST(status(w.matrix, x.many(300)) == cudaSuccess);
  }
  // 500 products of gate and up are no multiple of 8.
  BOOST_TEST(gate_up_wide(odd.matrix, x.many(300), y.data(), nullptr) == cudaErrorInvalidValue);
  require(cudaDeviceSynchronize());
}
