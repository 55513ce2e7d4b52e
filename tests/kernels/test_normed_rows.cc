#define BOOST_TEST_MODULE normed_rows
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/few_rows.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr float kEps = 1e-6F;

using Values = std::vector<__nv_bfloat16>;

// 1 / sqrt(mean(x²) + eps) of a row.
double factor_of(const Values& x, std::size_t row, std::size_t width) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const double value = wide(x[row * width + i]);
    sum += value * value;
  }
  return 1.0 / std::sqrt(sum / static_cast<double>(width) + 1e-6);
}

// A product of `inner` inputs, the norm behind it, and what the next product reads of both.
struct Front {
  int rows, width;
  MatrixCase w;
  Values x, sublayer, hidden, post, pre;
  Values scalar = {__float2bfloat16(0.7F)};
  int slots;
  DeviceArray<__nv_bfloat16> y;
  DeviceArray<float> squares;
  DeviceArray<__nv_bfloat16> before, after, post_weight, pre_weight, factor;

  Front(MatrixFormat format, int front_rows, int hidden_size, int inner)
      : rows(front_rows),
        width(hidden_size),
        w(format, hidden_size, inner),
        x(uniform_bf16(count(inner), 3, 1.0F)),
        hidden(random_bf16(count(width), 4, 5.0F)),
        post(random_bf16(static_cast<std::size_t>(width), 5, 20.0F)),
        pre(random_bf16(static_cast<std::size_t>(width), 6, 0.5F, 1.0F)),
        slots(square_slots(w.matrix, kBlocks)),
        y(count(width)),
        squares(count(slots)),
        before(hidden),
        after(count(width)),
        post_weight(post),
        pre_weight(pre),
        factor(scalar) {
    const DeviceArray<__nv_bfloat16> input(x);
    require(linear_few(w.matrix, few(input), y.data(), squares.data(), nullptr));
    sublayer = y.download();
  }

  std::size_t count(int each) const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(each);
  }
  FewRows few(const DeviceArray<__nv_bfloat16>& input) const {
    return {.x = input.data(), .rows = rows, .blocks = kBlocks};
  }
  NormedRows normed(bool scaled) const {
    return {.sublayer = y.data(),
            .squares = squares.data(),
            .slots = slots,
            .post_weight = post_weight.data(),
            .scalar = scaled ? factor.data() : nullptr,
            .pre_weight = pre_weight.data(),
            .hidden = before.data(),
            .hidden_after = after.data(),
            .eps = kEps};
  }
  std::string name() const {
    return w.name() + ", " + std::to_string(rows) + (rows == 1 ? " row" : " rows");
  }
};

void expect_squares(const Front& front) {
  const auto got = front.squares.download();
  for (std::size_t row = 0; row < static_cast<std::size_t>(front.rows); ++row) {
    double sum = 0, want = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(front.slots); ++i)
      sum += static_cast<double>(got[row * static_cast<std::size_t>(front.slots) + i]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(front.width); ++i) {
      const double value = wide(front.sublayer[row * static_cast<std::size_t>(front.width) + i]);
      want += value * value;
    }
    BOOST_TEST(std::abs(sum - want) <= 1e-5 * want,
               front.name() << ", row " << row << ": squares " << sum << ", want " << want);
  }
}

// hidden = (hidden + rms(sublayer) * post) * scalar, with the roundings of the norm, the sum and
// the product with the scalar.
void expect_hidden(const Front& front, const Values& got, bool scaled) {
  const auto width = static_cast<std::size_t>(front.width);
  std::vector<Bounded> want;
  for (std::size_t row = 0; row < static_cast<std::size_t>(front.rows); ++row) {
    const double scale = factor_of(front.sublayer, row, width);
    const double factor = scaled ? wide(front.scalar[0]) : 1.0;
    for (std::size_t i = 0; i < width; ++i) {
      const double normed = wide(front.sublayer[row * width + i]) * scale * wide(front.post[i]);
      const double value = (wide(front.hidden[row * width + i]) + normed) * factor;
      want.push_back({.value = value,
                      .limit = 1e-6 + kHalfUlp * (1.02 * std::abs(normed * factor) +
                                                  (scaled ? 2.02 : 1.02) * std::abs(value))});
    }
  }
  BOOST_TEST(within(widened(got), want, front.name() + ", hidden"));
}

// x · Wᵀ with x = bf16(hidden * pre), times the factor of each row of `hidden`, in float64.
std::vector<Bounded> product_of(const Front& front, const MatrixCase& w, const Values& hidden) {
  const auto width = static_cast<std::size_t>(front.width);
  Values x;
  for (std::size_t i = 0; i < hidden.size(); ++i)
    x.push_back(
        __float2bfloat16(__bfloat162float(hidden[i]) * __bfloat162float(front.pre[i % width])));
  auto sums =
      exact_product(w, input_worth(w.matrix.format, x, front.width, front.rows), front.rows);
  const auto out = static_cast<std::size_t>(w.matrix.out);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double factor = factor_of(hidden, i / out, width);
    // The factor itself in float32.
    sums[i].limit = sums[i].limit * factor + 1e-6 * std::abs(sums[i].value * factor);
    sums[i].value *= factor;
  }
  return sums;
}

// The product with w behind the norm, and the rows that the norm leaves.
void expect_product(const Front& front, const MatrixCase& w, bool scaled) {
  const DeviceArray<__nv_bfloat16> y(front.count(w.matrix.out));
  require(linear_few(w.matrix, front.normed(scaled), front.rows, kBlocks, y.data(), nullptr));
  const Values hidden = front.after.download();
  expect_hidden(front, hidden, scaled);
  BOOST_TEST(within(widened(y.download()), rounded_to_bf16(product_of(front, w, hidden)),
                    front.name() + ", product"));
}

double gelu(double x) {
  constexpr double kRoot = 0.7978845608028654;  // sqrt(2 / π)
  return 0.5 * x * (1.0 + std::tanh(kRoot * (x + 0.044715 * x * x * x)));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_product_behind_a_norm_is_that_of_the_normed_rows) {
  for (const MatrixFormat format : kFormats)
    for (const int rows : {1, 2, 3, 4})
      for (const bool scaled : {false, true}) {
        const Front front(format, rows, 3840, 512);
        expect_squares(front);
        expect_product(front, MatrixCase(format, 776, front.width, 7), scaled);
      }
}

BOOST_AUTO_TEST_CASE(widths_that_leave_threads_and_blocks_idle) {
  for (const MatrixFormat format : kFormats)
    for (const int width : {32, 256, 1056, kNormedWidthMax}) {
      const Front front(format, 2, width, 96);
      expect_squares(front);
      expect_product(front, MatrixCase(format, 40, width, 7), true);
    }
}

BOOST_AUTO_TEST_CASE(gate_and_up_behind_a_norm) {
  for (const MatrixFormat format : kFormats)
    for (const int rows : {1, 3}) {
      const Front front(format, rows, 3840, 512);
      const MatrixCase w(format, 2 * 2200, front.width, 7);  // as many as need four groups
      const std::size_t inner = 2200;
      const DeviceArray<__nv_bfloat16> h(front.count(static_cast<int>(inner)));
      require(gate_up_few(w.matrix, front.normed(false), rows, kBlocks, h.data(), nullptr));
      const auto both = product_of(front, w, front.after.download());
      std::vector<Bounded> want;
      for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
        for (std::size_t i = 0; i < inner; ++i) {
          const Bounded gate = both[row * 2 * inner + i], up = both[row * 2 * inner + inner + i];
          const double value = gelu(gate.value) * up.value;
          // The slope of gelu is below 1.13; gate, up, gelu and the product are rounded.
          want.push_back(
              {.value = value,
               .limit = 1e-5 +
                        1.13 * (gate.limit + kHalfUlp * std::abs(gate.value)) * std::abs(up.value) +
                        std::abs(gelu(gate.value)) * up.limit + 3 * kHalfUlp * std::abs(value)});
        }
      BOOST_TEST(within(widened(h.download()), want, front.name() + ", gate and up"));
    }
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_every_company_and_run) {
  for (const MatrixFormat format : kFormats) {
    const MatrixCase w(format, 1000, 3840, 7);
    Values first;
    for (const int rows : {4, 1, 4, 2}) {
      const Front front(format, rows, 3840, 512);
      const DeviceArray<__nv_bfloat16> y(front.count(w.matrix.out));
      require(linear_few(w.matrix, front.normed(true), rows, kBlocks, y.data(), nullptr));
      Values got = y.download();
      if (first.empty()) first = got;
      Values same(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(got.size()));
      BOOST_TEST(same_bits(got, same), front.name());
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_a_number_is_seen) {
  Front front(MatrixFormat::kInt4, 1, 3840, 512);
  Values bad = front.sublayer;
  bad[7] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
  front.y.upload(bad);
  const MatrixCase w(MatrixFormat::kInt4, 40, 3840, 7);
  const DeviceArray<__nv_bfloat16> y(40);
  require(linear_few(w.matrix, front.normed(false), 1, kBlocks, y.data(), nullptr));
  for (const __nv_bfloat16 value : y.download()) BOOST_TEST(std::isnan(wide(value)));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused) {
  const Front front(MatrixFormat::kBf16, 1, 256, 96);
  const MatrixCase w(MatrixFormat::kBf16, 40, 256, 7);
  const DeviceArray<__nv_bfloat16> y(400);
  NormedRows in_place = front.normed(false);
  in_place.hidden_after = front.before.data();
  BOOST_TEST(linear_few(w.matrix, in_place, 1, kBlocks, y.data(), nullptr) ==
             cudaErrorInvalidValue);
  BOOST_TEST(linear_few(w.matrix, front.normed(false), 5, kBlocks, y.data(), nullptr) ==
             cudaErrorInvalidValue);
  const MatrixCase too_wide(MatrixFormat::kBf16, 8, kNormedWidthMax + 8, 7);
  BOOST_TEST(!takes_normed(too_wide.matrix));
  BOOST_TEST(linear_few(too_wide.matrix, front.normed(false), 1, kBlocks, y.data(), nullptr) ==
             cudaErrorInvalidValue);
}
