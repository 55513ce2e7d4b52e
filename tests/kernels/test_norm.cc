#define BOOST_TEST_MODULE norm
#include <cmath>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/kernels/norm.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr float kEps = 1e-6F;
constexpr double kWideEps = 1e-6;

// 1 / sqrt(mean(x²) + eps) of a row.
double scale_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + kWideEps);
}

std::vector<double> row_of(const std::vector<__nv_bfloat16>& values, std::size_t row,
                           std::size_t width) {
  std::vector<double> out;
  for (std::size_t i = 0; i < width; ++i) out.push_back(wide(values[row * width + i]));
  return out;
}

void expect_near(double got, double want, double limit, const char* what, std::size_t at) {
  const double error = std::abs(got - want);
  if (!(error <= limit)) {
    BOOST_ERROR(what << " " << at << ": got " << got << ", want " << want << ", limit " << limit);
  }
}

struct Seam {
  std::vector<__nv_bfloat16> hidden;
  std::vector<__nv_bfloat16> y;
};

struct SeamInput {
  int width;
  int rows;
  bool scaled;  // by a layer scalar
  std::vector<__nv_bfloat16> sublayer;
  std::vector<__nv_bfloat16> hidden;
  std::vector<__nv_bfloat16> post;
  std::vector<__nv_bfloat16> pre;
  std::vector<__nv_bfloat16> scalar = {__float2bfloat16(0.7F)};

  SeamInput(int seam_width, int seam_rows, bool with_scalar)
      : width(seam_width), rows(seam_rows), scaled(with_scalar) {
    const auto w = static_cast<std::size_t>(width);
    const std::size_t values = w * static_cast<std::size_t>(rows);
    sublayer = random_bf16(values, 1, 30.0F);
    hidden = random_bf16(values, 2, 5.0F);
    post = random_bf16(w, 3, 20.0F);
    pre = random_bf16(w, 4, 0.5F, 1.0F);
  }

  Seam run(bool with_pre = true) const {
    const DeviceArray<__nv_bfloat16> x(sublayer);
    const DeviceArray<__nv_bfloat16> h(hidden);
    const DeviceArray<__nv_bfloat16> post_weight(post);
    const DeviceArray<__nv_bfloat16> pre_weight(pre);
    const DeviceArray<__nv_bfloat16> device_scalar(scalar);
    // y takes the place of the sublayer's output, as the forward does it.
    require(residual_norm({.sublayer = x.data(),
                           .post_weight = post_weight.data(),
                           .scalar = scaled ? device_scalar.data() : nullptr,
                           .pre_weight = with_pre ? pre_weight.data() : nullptr,
                           .hidden = h.data(),
                           .y = with_pre ? x.data() : nullptr,
                           .width = width,
                           .eps = kEps},
                          rows, nullptr));
    return {.hidden = h.download(), .y = x.download()};
  }
};

void expect_seam(const SeamInput& in) {
  const Seam got = in.run();
  const auto width = static_cast<std::size_t>(in.width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(in.rows); ++row) {
    const std::vector<double> x = row_of(in.sublayer, row, width);
    const double scale = scale_of(x);
    for (std::size_t i = 0; i < width; ++i) {
      const double before = wide(in.hidden[row * width + i]);
      const double normed = x[i] * scale * wide(in.post[i]);
      const double factor = in.scaled ? wide(in.scalar[0]) : 1.0;
      const double want = (before + normed) * factor;
      // Roundings: of the norm, of the sum, of the product.
      const double limit = kHalfUlp * (1.02 * std::abs(normed * factor) +
                                       (in.scaled ? 2.02 : 1.02) * std::abs(want));
      expect_near(wide(got.hidden[row * width + i]), want, limit + 1e-6, "hidden", row * width + i);
    }
    const std::vector<double> hidden = row_of(got.hidden, row, width);
    const double next = scale_of(hidden);
    for (std::size_t i = 0; i < width; ++i) {
      const double want = hidden[i] * next * wide(in.pre[i]);
      expect_near(wide(got.y[row * width + i]), want, 1.01 * kHalfUlp * std::abs(want) + 1e-7, "y",
                  row * width + i);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_row_is_divided_by_its_root_mean_square) {
  for (const int width : {8, 40, 56, 264, 3840, 8192}) {
    const auto w = static_cast<std::size_t>(width);
    const std::vector<__nv_bfloat16> host = random_bf16(5 * w, 5, 40.0F);
    const std::vector<__nv_bfloat16> host_weight = random_bf16(w, 6, 30.0F);
    const DeviceArray<__nv_bfloat16> x(host);
    const DeviceArray<__nv_bfloat16> weight(host_weight);
    const DeviceArray<__nv_bfloat16> y(3 * w);
    const DeviceArray<int> rows(std::vector<int>{4, 0, 4});
    for (const bool weighted : {true, false}) {
      require(rms_norm({.x = x.data(),
                        .weight = weighted ? weight.data() : nullptr,
                        .rows = rows.data(),
                        .y = y.data(),
                        .width = width,
                        .eps = kEps},
                       3, nullptr));
      const auto got = y.download();
      for (std::size_t row = 0; row < 3; ++row) {
        const std::vector<double> from = row_of(host, row == 1 ? 0 : 4, w);
        const double scale = scale_of(from);
        for (std::size_t i = 0; i < w; ++i) {
          const double want = from[i] * scale * (weighted ? wide(host_weight[i]) : 1.0);
          expect_near(wide(got[row * w + i]), want, 1.01 * kHalfUlp * std::abs(want) + 1e-7, "y",
                      row * w + i);
        }
      }
    }
    // In place and without an index.
    require(rms_norm({.x = x.data(),
                      .weight = nullptr,
                      .rows = nullptr,
                      .y = x.data(),
                      .width = width,
                      .eps = kEps},
                     5, nullptr));
    const auto in_place = x.download();
    const auto gathered = y.download();
    BOOST_TEST(std::equal(gathered.begin(), gathered.begin() + width, in_place.end() - width,
                          [](auto a, auto b) { return bits(a) == bits(b); }));
  }
}

BOOST_AUTO_TEST_CASE(the_seam_adds_scales_and_norms) {
  for (const int width : {8, 40, 264, 3840, 8192}) {
    for (const bool scaled : {false, true}) expect_seam(SeamInput(width, 3, scaled));
  }
}

BOOST_AUTO_TEST_CASE(the_last_seam_only_adds) {
  const SeamInput in(3840, 4, true);
  BOOST_TEST(same_bits(in.run(false).hidden, in.run(true).hidden));
  BOOST_TEST(same_bits(in.run(false).y, in.sublayer));
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_its_neighbours) {
  SeamInput many(3840, 64, true);
  const Seam together = many.run();
  BOOST_TEST(same_bits(together.y, many.run().y));
  many.rows = 1;
  many.sublayer.resize(3840);
  many.hidden.resize(3840);
  const Seam alone = many.run();
  BOOST_TEST(std::equal(alone.y.begin(), alone.y.end(), together.y.begin(),
                        [](auto a, auto b) { return bits(a) == bits(b); }));
}

BOOST_AUTO_TEST_CASE(a_nan_spreads_over_its_row_only) {
  SeamInput in(3840, 2, true);
  in.sublayer[17] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
  const Seam got = in.run();
  for (std::size_t i = 0; i < 3840; ++i) {
    BOOST_REQUIRE(std::isnan(wide(got.y[i])));
    BOOST_REQUIRE(!std::isnan(wide(got.y[3840 + i])));
  }
}

BOOST_AUTO_TEST_CASE(bad_shapes_are_refused) {
  const DeviceArray<__nv_bfloat16> x(8200);
  RmsNorm norm = {
      .x = x.data(), .weight = nullptr, .rows = nullptr, .y = x.data(), .width = 12, .eps = kEps};
  BOOST_TEST(rms_norm(norm, 1, nullptr) == cudaErrorInvalidValue);
  norm.width = 8200;
  BOOST_TEST(rms_norm(norm, 1, nullptr) == cudaErrorInvalidValue);
  norm.width = 8;
  BOOST_TEST(rms_norm(norm, 0, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(rms_norm(norm, 1, nullptr) == cudaSuccess);
}
