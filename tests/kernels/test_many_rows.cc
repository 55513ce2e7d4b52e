#define BOOST_TEST_MODULE many_rows
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/many_rows.h"
#include "model/kernels/pack_matrix.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

void check_linear(MatrixFormat format, int out, int width, const std::vector<int>& row_counts) {
  const int in = width_in(format, width);
  MatrixCase w(format, out, in);
  if (format == MatrixFormat::kInt4) w.unpack();
  const int most = *std::max_element(row_counts.begin(), row_counts.end());
  const RowsCase x(format, most, in);
  const auto exact = x.exact(w, most);
  for (const int rows : row_counts) {
    const std::string what = w.name() + ", " + std::to_string(rows) + " rows";
    const DeviceArray<__nv_bfloat16> y(elements(rows, out));
    require(linear_many(w.matrix, x.many(rows), y.data(), nullptr));
    within(widened(y.download()), rounded_to_bf16(first(exact, rows, out)), what);
    if (rows > kHeadRowsMax) continue;
    const DeviceArray<float> wide(elements(rows, out));
    require(logits_many(w.matrix, x.many(rows), wide.data(), 0.0F, nullptr));
    within(widened(wide.download()), first(exact, rows, out), what + ", float32");
  }
}

void check_gate_up(MatrixFormat format, int inner, int width, int rows) {
  const int in = width_in(format, width);
  MatrixCase w(format, 2 * inner, in);
  if (format == MatrixFormat::kInt4) w.unpack();
  const RowsCase x(format, rows, in);
  const DeviceArray<__nv_bfloat16> h(elements(rows, inner));
  require(gate_up_many(w.matrix, x.many(rows), h.data(), nullptr));
  within(widened(h.download()), gate_up_of(x.exact(w, rows), inner),
         "gate and up of " + w.name() + ", " + std::to_string(rows) + " rows");
}

std::vector<std::pair<MatrixFormat, int>> formats_and_rows(const std::vector<int>& row_counts) {
  std::vector<std::pair<MatrixFormat, int>> all;
  for (const MatrixFormat format : kFormats)
    for (const int rows : row_counts) all.emplace_back(format, rows);
  return all;
}

// Choices of `rows` rows and whether they are the first largest of the logits.
void check_greedy(const MatrixCase& w, const RowsCase& x, int rows, float softcap,
                  const std::vector<int>& hidden) {
  const auto out = static_cast<std::size_t>(w.matrix.out);
  std::vector<std::uint32_t> mask((out + 31) / 32);
  for (const int token : hidden)
    mask[static_cast<std::size_t>(token) / 32] |= 1U << (static_cast<unsigned>(token) % 32);
  const DeviceArray<std::uint32_t> suppressed(mask);
  const DeviceArray<char> scratch(greedy_many_scratch_bytes(kBlocks));
  const DeviceArray<float> logits(elements(rows, w.matrix.out));
  require(logits_many(w.matrix, x.many(rows), logits.data(), softcap, nullptr));
  const DeviceArray<GreedyChoice> chosen(static_cast<std::size_t>(rows));
  require(greedy_many({.embedding = w.matrix, .softcap = softcap, .suppressed = suppressed.data()},
                      x.many(rows), scratch.data(), chosen.data(), nullptr));
  const auto all = logits.download();
  const auto choices = chosen.download();
  for (std::size_t row = 0; row < choices.size(); ++row) {
    int best = -1;
    for (std::size_t token = 0; token < out; ++token) {
      if (std::find(hidden.begin(), hidden.end(), static_cast<int>(token)) != hidden.end())
        continue;
      if (best < 0 || all[row * out + token] > all[row * out + static_cast<std::size_t>(best)])
        best = static_cast<int>(token);
    }
    BOOST_TEST(choices[row].finite == 1);
    BOOST_TEST(choices[row].token == best, w.name() << ", row " << row << " of " << rows);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(odd_shapes_equal_the_exact_product) {
  for (const MatrixFormat format : kFormats)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{
             {8, 8}, {64, 64}, {136, 1000}, {520, 96}, {1000, 3872}, {4224, 224}})
      check_linear(format, out, in, {1,  5,   7,   8,   9,   15,  16,  17,  31,  32,  33,  64, 65,
                                     95, 100, 104, 110, 127, 128, 129, 160, 192, 193, 255, 256});
}

BOOST_AUTO_TEST_CASE(the_shapes_of_the_12b_equal_the_exact_product) {
  for (const MatrixFormat format : kFormats)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{
             {8192, 3840}, {8704, 3840}, {3840, 4096}, {3840, 8192}, {3840, 15360}})
      check_linear(format, out, in, {8, 13, 20, 100});
}

BOOST_AUTO_TEST_CASE(gate_and_up_equal_the_exact_gelu_and_product) {
  for (const MatrixFormat format : kFormats) {
    check_gate_up(format, 8, 32, 40);
    for (const int rows : {5, 8, 9, 16}) check_gate_up(format, 136, 480, rows);
    check_gate_up(format, 4104, 224, 7);
    check_gate_up(format, 15360, 3840, 15);
    check_gate_up(format, 136, 1000, 100);
    check_gate_up(format, 4104, 224, 128);
    for (const int rows : {129, 192, 193}) check_gate_up(format, 136, 480, rows);
    check_gate_up(format, 4104, 224, 256);
    check_gate_up(format, 15360, 3840, 70);
  }
}

BOOST_AUTO_TEST_CASE(the_greedy_choice_is_the_first_largest_logit_that_is_not_suppressed) {
  for (const MatrixFormat format : kFormats) {
    for (const int vocabulary : {8, 304, 40000}) {
      const MatrixCase w(format, vocabulary, 96, 5);
      const RowsCase x(format, 128, 96);
      for (const int rows : {1, 5, 8, 9, 16, 32, 64, 100, 128}) {
        check_greedy(w, x, rows, 30.0F, {});
        check_greedy(w, x, rows, 0.0F, {0, 3, 5});
      }
    }
    // Equal logits everywhere: the lowest id wins.
    const auto one = uniform_bf16(64, 3, 0.1F);
    std::vector<__nv_bfloat16> all;
    for (int token = 0; token < 4000; ++token) all.insert(all.end(), one.begin(), one.end());
    check_greedy(MatrixCase(format, 4000, 64, all), RowsCase(format, 40, 64), 40, 30.0F, {0, 1, 3});
  }
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_every_company_and_run) {
  for (const MatrixFormat format : kFormats)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{
             {1000, 3872}, {8192, 3872}, {30720, 3872}, {3840, 15360}}) {
      const MatrixCase w(format, out, in);
      const RowsCase x(format, kManyRowsMax, in);
      const DeviceArray<__nv_bfloat16> all(elements(kManyRowsMax, out));
      require(linear_many(w.matrix, x.many(kManyRowsMax), all.data(), nullptr));
      const auto together = all.download();
      for (const int rows : {1,  5,  7,   8,   9,   15,  16,  17,  32,  33,  64,
                             90, 96, 100, 104, 105, 128, 129, 160, 192, 193, 256}) {
        const DeviceArray<__nv_bfloat16> y(elements(rows, out));
        require(linear_many(w.matrix, x.many(rows), y.data(), nullptr));
        const std::vector<__nv_bfloat16> want(
            together.begin(), together.begin() + static_cast<std::ptrdiff_t>(rows) * out);
        BOOST_TEST(same_bits(y.download(), want), w.name() << ", " << rows << " rows");
      }
    }
}

BOOST_AUTO_TEST_CASE(a_row_of_rubbish_stays_alone) {
  constexpr int kOut = 304, kIn = 512;
  constexpr std::size_t kBad = 4;
  for (const MatrixFormat format : kFormats)
    for (const int rows : {5, 12, 100})
      for (const float rubbish :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const MatrixCase w(format, kOut, kIn);
        auto values = uniform_bf16(elements(rows, kIn), 7, 1.0F);
        values[kBad * kIn + 77] = __float2bfloat16(rubbish);
        const RowsCase x(format, rows, kIn, values);
        const DeviceArray<float> y(elements(rows, kOut));
        require(logits_many(w.matrix, x.many(rows), y.data(), 0.0F, nullptr));
        const auto got = y.download();
        for (std::size_t i = 0; i < got.size(); ++i)
          BOOST_TEST_REQUIRE(std::isfinite(got[i]) == (i / kOut != kBad));
        const DeviceArray<char> scratch(greedy_many_scratch_bytes(kBlocks));
        const DeviceArray<GreedyChoice> chosen(static_cast<std::size_t>(rows));
        require(greedy_many({.embedding = w.matrix, .softcap = 30.0F}, x.many(rows), scratch.data(),
                            chosen.data(), nullptr));
        const auto choices = chosen.download();
        for (std::size_t row = 0; row < choices.size(); ++row)
          BOOST_TEST(choices[row].finite == (row == kBad ? 0 : 1));
      }
}

// Also of lines whose neighbours stand in the same tile, and of a matrix that is split along K.
BOOST_AUTO_TEST_CASE(a_weight_of_rubbish_stays_in_its_output) {
  constexpr int kOut = 304, kIn = 544;
  for (const auto& [format, rows] : formats_and_rows({20, 150, 200}))
    for (const std::size_t bad : {std::size_t{0}, std::size_t{9}, std::size_t{303}}) {
      auto values = uniform_bf16(elements(kOut, kIn), 3, 0.1F);
      values[bad * kIn + 500] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
      const MatrixCase w(format, kOut, kIn, values);
      const RowsCase x(format, rows, kIn);
      const DeviceArray<__nv_bfloat16> y(elements(rows, kOut)), h(elements(rows, kOut / 2));
      require(linear_many(w.matrix, x.many(rows), y.data(), nullptr));
      require(gate_up_many(w.matrix, x.many(rows), h.data(), nullptr));
      const auto linear = y.download(), gate_up = h.download();
      for (std::size_t i = 0; i < linear.size(); ++i)
        BOOST_TEST_REQUIRE(std::isnan(wide(linear[i])) == (i % kOut == bad));
      for (std::size_t i = 0; i < gate_up.size(); ++i)
        BOOST_TEST_REQUIRE(std::isnan(wide(gate_up[i])) == (i % (kOut / 2) == bad % (kOut / 2)));
    }
}

// Of the same integers and scales, a product of int4 has the bits of one of the bf16 weights that
// unpack_matrix() makes of it, K-block by K-block of the same inputs: nothing is rounded elsewhere.
BOOST_AUTO_TEST_CASE(int4_weights_are_those_that_unpacking_gives) {
  constexpr int kOut = 136, kIn = 992;
  const MatrixCase w(MatrixFormat::kInt4, kOut, kIn, 21);
  const DeviceArray<__nv_bfloat16> unpacked(elements(kOut, kIn));
  require(unpack_matrix(w.matrix, unpacked.data(), nullptr));
  require(cudaDeviceSynchronize());
  const auto weights = unpacked.download();
  // Each row of x has a single one, so that the product is a column of the matrix.
  for (const int first : {0, 100, 260, 516, 736}) {
    const int rows = first == 0 ? 100 : first == 100 ? 160 : kManyRowsMax;
    std::vector<__nv_bfloat16> ones(elements(rows, kIn), __float2bfloat16(0.0F));
    for (int row = 0; row < rows; ++row)
      ones[elements(row, kIn) + static_cast<std::size_t>(first + row)] = __float2bfloat16(1.0F);
    const RowsCase x(MatrixFormat::kInt4, rows, kIn, ones);
    const DeviceArray<__nv_bfloat16> y(elements(rows, kOut));
    require(linear_many(w.matrix, x.many(rows), y.data(), nullptr));
    const auto got = y.download();
    for (int row = 0; row < rows; ++row)
      for (int out = 0; out < kOut; ++out)
        BOOST_TEST_REQUIRE(
            wide(got[elements(row, kOut) + static_cast<std::size_t>(out)]) ==
                wide(weights[elements(out, kIn) + static_cast<std::size_t>(first + row)]),
            "weight " << out << ", " << first + row);
  }
}

BOOST_AUTO_TEST_CASE(a_feed_forward_has_the_bits_of_its_products) {
  constexpr int kHidden = 480, kInner = 1056;
  for (const MatrixFormat format : kFormats) {
    const MatrixCase up(format, 2 * kInner, kHidden, 3), down(format, kHidden, kInner, 4);
    for (const int rows : {1, 4, 5, 8, 13, 20, 128, 129, 256, 257, 300}) {
      MatrixProducts products;
      const ProductShape shapes[] = {
          {.format = format, .out = 2 * kInner, .in = kHidden, .gate_up = true},
          {.format = format, .out = kHidden, .in = kInner}};
      const DeviceArray<char> memory(products.plan(shapes, rows));
      const ProductWorkspace workspace{.data = memory.data(), .bytes = memory.size()};
      const DeviceArray<__nv_bfloat16> x(uniform_bf16(elements(rows, kHidden), 7, 1.0F));
      const DeviceArray<__nv_bfloat16> h(elements(rows, kInner)), y(elements(rows, kHidden)),
          want(elements(rows, kHidden));
      products.gate_up(up.matrix, x.data(), h.data(), rows, workspace, nullptr);
      products.linear(down.matrix, h.data(), want.data(), rows, workspace, nullptr);
      require(cudaMemset(h.data(), 0, h.size() * sizeof(__nv_bfloat16)));
      products.feed_forward({up.matrix, down.matrix}, x.data(), h.data(), y.data(), rows, workspace,
                            nullptr);
      BOOST_TEST(same_bits(y.download(), want.download()), up.name() << ", " << rows << " rows");
      if (!MatrixProducts::takes_packed(up.matrix, true, rows)) continue;
      const RowsCase packed(format, rows, kHidden, x.download());
      const PackedRows taken{packed.values.data(), packed.scales.data()};
      require(cudaMemset(y.data(), 0, y.size() * sizeof(__nv_bfloat16)));
      products.feed_forward({up.matrix, down.matrix}, taken, h.data(), y.data(), rows, workspace,
                            nullptr);
      BOOST_TEST(same_bits(y.download(), want.download()), rows << " packed rows");
      const DeviceArray<__nv_bfloat16> both(elements(rows, 2 * kInner)),
          other(elements(rows, 2 * kInner));
      products.linear(up.matrix, x.data(), both.data(), rows, workspace, nullptr);
      products.linear(up.matrix, taken, other.data(), rows, workspace, nullptr);
      BOOST_TEST(same_bits(other.download(), both.download()), rows << " packed rows, one product");
    }
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused) {
  const MatrixCase w(MatrixFormat::kBf16, 64, 64);
  const RowsCase x(MatrixFormat::kBf16, 128, 64);
  const DeviceArray<__nv_bfloat16> y(std::size_t{128} * 64);
  const auto status = [&](const Matrix& matrix, const ManyRows& rows) {
    return linear_many(matrix, rows, y.data(), nullptr);
  };
  BOOST_TEST(status(w.matrix, x.many(kManyRowsMax + 1)) == cudaErrorInvalidValue);
  const DeviceArray<float> logits(std::size_t{kHeadRowsMax} * 64);
  BOOST_TEST(logits_many(w.matrix, x.many(kHeadRowsMax + 1), logits.data(), 0.0F, nullptr) ==
             cudaErrorInvalidValue);
  BOOST_TEST(status(w.matrix, x.many(0)) == cudaErrorInvalidValue);
  Matrix other = w.matrix;
  other.format = MatrixFormat::kInt4;
  BOOST_TEST(status(other, x.many(20)) == cudaErrorInvalidValue);
  other.format = MatrixFormat::kFp8;
  BOOST_TEST(status(other, x.many(20)) == cudaErrorInvalidValue);
  BOOST_TEST(status(w.matrix, x.many(20)) == cudaSuccess);
  require(cudaDeviceSynchronize());
}

BOOST_AUTO_TEST_CASE(packed_rows_are_refused_where_rows_are_taken_in_bf16) {
  const MatrixCase w(MatrixFormat::kFp8, 64, 64);
  const RowsCase x(MatrixFormat::kFp8, 20, 64);
  const DeviceArray<__nv_bfloat16> y(std::size_t{20} * 64);
  MatrixProducts products;
  const ProductShape shape{.format = MatrixFormat::kFp8, .out = 64, .in = 64};
  const DeviceArray<char> memory(products.plan({&shape, 1}, 20));
  const ProductWorkspace workspace{.data = memory.data(), .bytes = memory.size()};
  const auto give = [&](const PackedRows& rows, int count) {
    products.linear(w.matrix, rows, y.data(), count, workspace, nullptr);
  };
  BOOST_CHECK_THROW(give({x.values.data(), x.scales.data()}, 4), std::invalid_argument);
  BOOST_CHECK_THROW(give({}, 20), std::invalid_argument);
  for (const int rows : {5, 20}) give({x.values.data(), x.scales.data()}, rows);
  require(cudaDeviceSynchronize());
}
