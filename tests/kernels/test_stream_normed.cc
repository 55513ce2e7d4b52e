#define BOOST_TEST_MODULE stream_normed
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/norm.h"
#include "model/kernels/stream_normed.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr int kRowsMax = 64;

using Values = std::vector<__nv_bfloat16>;

struct Normed {
  Values hidden, y;
};

// A product of few rows with its norms, by itself or as two kernels.
struct StreamCase {
  MatrixCase w;
  Values x, hidden;
  DeviceArray<__nv_bfloat16> post, pre, scalar;

  StreamCase(MatrixFormat format, int out, int in)
      : w(format, out, in, 11),
        x(uniform_bf16(elements(kRowsMax, in), 3, 1.0F)),
        hidden(random_bf16(elements(kRowsMax, out), 2, 5.0F)),
        post(random_bf16(static_cast<std::size_t>(out), 4, 20.0F)),
        pre(random_bf16(static_cast<std::size_t>(out), 5, 0.5F, 1.0F)),
        scalar(Values{__float2bfloat16(0.7F)}) {}

  // `arrivals` null: two kernels.
  Normed run(int rows, unsigned* arrivals) const {
    const int out = w.matrix.out;
    const auto of = [&](const Values& all, int width) {
      return Values(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(elements(rows, width)));
    };
    const DeviceArray<__nv_bfloat16> source(of(x, w.matrix.in)), h(of(hidden, out)),
        y(elements(rows, out));
    const FewRows few{.x = source.data(), .rows = rows, .blocks = kBlocks};
    const ResidualNorm norm{.sublayer = y.data(),
                            .post_weight = post.data(),
                            .scalar = rows % 2 == 0 ? scalar.data() : nullptr,
                            .pre_weight = pre.data(),
                            .hidden = h.data(),
                            .y = y.data(),
                            .width = out,
                            .eps = 1e-6F};
    if (arrivals != nullptr) {
      require(linear_normed_few(w.matrix, few, {.norm = norm, .packed = {}, .arrivals = arrivals},
                                nullptr));
    } else {
      require(linear_few(w.matrix, few, y.data(), nullptr));
      require(residual_norm(norm, rows, nullptr));
    }
    return {.hidden = h.download(), .y = y.download()};
  }
  void expect_same(int rows, unsigned* arrivals) const {
    const Normed got = run(rows, arrivals), want = run(rows, nullptr);
    const std::string what = w.name() + ", " + std::to_string(rows) + " rows";
    BOOST_TEST(same_bits(got.hidden, want.hidden), what << ": hidden");
    BOOST_TEST(same_bits(got.y, want.y), what << ": y");
  }
};

}  // namespace

// One counter for all: rounds of other members follow each other.
BOOST_AUTO_TEST_CASE(norms_behind_a_product_have_the_bits_of_their_kernels) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  for (const MatrixFormat format : kFormats)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{
             {8, 64}, {136, 992}, {1000, 3872}, {2560, 320}, {kNormBehindWidthMax, 96}}) {
      const StreamCase work(format, out, in);
      int taken = 0;
      for (const int rows : {5, 7, 8, 9, 15, 16, 17, 32, 33, 64}) {
        if (!norms_behind_few(work.w.matrix, rows)) continue;
        work.expect_same(rows, arrivals.data());
        ++taken;
      }
      const bool tiled = format == MatrixFormat::kBf16 || format == MatrixFormat::kFp8;
      BOOST_TEST(taken == (tiled ? 6 : format == MatrixFormat::kInt4 ? 8 : 10));
    }
}

BOOST_AUTO_TEST_CASE(norms_of_the_12b_have_the_bits_of_their_kernels_in_every_run) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  for (const MatrixFormat format : kFormats)
    for (const int in : {4096, 8192, 15360}) {
      const StreamCase work(format, 3840, in);
      for (const int rows : {8, 16}) {
        const Normed want = work.run(rows, nullptr);
        for (int turn = 0; turn < 30; ++turn) {
          const Normed got = work.run(rows, arrivals.data());
          BOOST_TEST_REQUIRE(same_bits(got.y, want.y), work.w.name() << ", turn " << turn);
          BOOST_TEST_REQUIRE(same_bits(got.hidden, want.hidden), work.w.name());
        }
      }
    }
}

BOOST_AUTO_TEST_CASE(what_is_not_a_number_stays_in_its_row) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  StreamCase work(MatrixFormat::kInt4, 136, 992);
  work.x[elements(3, 992) - 5] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
  const Normed got = work.run(8, arrivals.data());
  for (std::size_t i = 0; i < got.y.size(); ++i) {
    BOOST_TEST(std::isnan(wide(got.y[i])) == (i / 136 == 2));
    BOOST_TEST(std::isnan(wide(got.hidden[i])) == (i / 136 == 2));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused) {
  const StreamCase work(MatrixFormat::kBf16, 64, 64);
  const DeviceArray<__nv_bfloat16> x(work.x), h(work.hidden), y(elements(8, 64));
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  FewRows few{.x = x.data(), .rows = 8, .blocks = kBlocks};
  NormBehind behind{.norm = {.sublayer = y.data(),
                             .post_weight = work.post.data(),
                             .pre_weight = work.pre.data(),
                             .hidden = h.data(),
                             .y = y.data(),
                             .width = 64,
                             .eps = 1e-6F},
                    .packed = {},
                    .arrivals = arrivals.data()};
  const auto status = [&] { return linear_normed_few(work.w.matrix, few, behind, nullptr); };
  require(status());
  behind.norm.width = 56;
  BOOST_TEST(status() == cudaErrorInvalidValue);
  behind.norm.width = 64;
  behind.arrivals = nullptr;
  BOOST_TEST(status() == cudaErrorInvalidValue);
  behind.arrivals = arrivals.data();
  for (const int rows : {0, 4, 17}) {  // the norms of up to four rows are made by the next product
    few.rows = rows;
    BOOST_TEST(status() == cudaErrorInvalidValue, rows << " rows");
  }
  const MatrixCase wide_matrix(MatrixFormat::kBf16, kNormBehindWidthMax + 8, 64, 11);
  BOOST_TEST(!norms_behind_few(wide_matrix.matrix, 8));
}
