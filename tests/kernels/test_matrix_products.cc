#define BOOST_TEST_MODULE matrix_products
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/matrix_products.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

using Shape = std::pair<int, int>;  // out, in

// Times the limit of float32 sums: 1.5 * 2⁻¹² of Σ |x| |w|.
constexpr double kE4m3Sums = 48;

std::vector<__nv_bfloat16> input(int rows, int in, std::uint64_t seed = 7) {
  return uniform_bf16(static_cast<std::size_t>(rows) * static_cast<std::size_t>(in), seed, 1.0F);
}

std::vector<__nv_bfloat16> first_rows(const std::vector<__nv_bfloat16>& x, int rows, int width) {
  return {x.begin(), x.begin() + static_cast<std::ptrdiff_t>(rows) * width};
}

void check_linear(MatrixFormat format, const Shape& shape, const std::vector<int>& row_counts) {
  const MatrixCase w(format, shape.first, shape.second);
  const int most = *std::max_element(row_counts.begin(), row_counts.end());
  ProductCase product(w.matrix, false, most);
  const auto x = input(most, shape.second);
  const auto many = exact_product(w, packed_worth(MatrixFormat::kBf16, x, shape.second), most);
  const auto few = exact_product(w, first_rows(x, std::min(most, kSplitRowsMax), shape.second),
                                 std::min(most, kSplitRowsMax));
  for (const int rows : row_counts) {
    const auto part = first_rows(x, rows, shape.second);
    const auto& exact = rows > kSplitRowsMax ? many : few;
    const std::vector<Bounded> want(
        exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(rows) * shape.first);
    const std::string what = w.name() + ", " + std::to_string(rows) + " rows";
    within(widened(product.linear(w.matrix, part, rows)), rounded_to_bf16(want), what);
    within(widened(product.linear_float(w.matrix, part, rows)), want, what + ", float32");
  }
}

double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

// gelu(gate) * up with transformers' rounding points. Where a sum stands at the border of two bf16
// values, either may come out: half a unit in the last place of gate, up, the gelu and the product
// each, and 5 % for the products of these errors.
std::vector<Bounded> exact_gate_up(const MatrixCase& w, const std::vector<float>& x, int rows) {
  const auto inner = static_cast<std::size_t>(w.matrix.out / 2);
  const auto both = exact_product(w, x, rows);
  std::vector<Bounded> h;
  for (std::size_t n = 0; n < static_cast<std::size_t>(rows); ++n)
    for (std::size_t j = 0; j < inner; ++j) {
      const Bounded gate = both[n * 2 * inner + j], up = both[(n * 2 + 1) * inner + j];
      const double value = gelu_tanh(gate.value) * up.value;
      const double gate_error = kHalfUlp * std::fabs(gate.value) + gate.limit;
      const double up_error = kHalfUlp * std::fabs(up.value) + up.limit;
      h.push_back({value, 1.05 * (1.13 * gate_error * (std::fabs(up.value) + up_error) +
                                  up_error * std::fabs(gelu_tanh(gate.value)) +
                                  2 * kHalfUlp * std::fabs(value))});
    }
  return h;
}

void check_gate_up(MatrixFormat format, const Shape& shape, const std::vector<int>& row_counts) {
  const MatrixCase w(format, shape.first, shape.second);
  const int most = *std::max_element(row_counts.begin(), row_counts.end());
  ProductCase product(w.matrix, true, most);
  const auto x = input(most, shape.second);
  for (const int rows : row_counts) {
    const auto part = first_rows(x, rows, shape.second);
    within(widened(product.gate_up(w.matrix, part, rows)),
           exact_gate_up(w, input_worth(format, part, shape.second, rows), rows),
           "gate and up of " + w.name() + ", " + std::to_string(rows) + " rows");
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(odd_shapes_equal_the_exact_product) {
  const std::vector<int> rows{1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 63, 64};
  for (const MatrixFormat format : kFormats) {
    for (const Shape& shape :
         std::vector<Shape>{{1, 32}, {5, 64}, {257, 96}, {130, 992}, {4225, 224}, {33, 4128}})
      check_linear(format, shape, rows);
    // Of a shape that need not be streamed, more rows are packed in fp8, and more than few meet
    // weights rounded to bf16 in int4: see below.
    const bool apart = format == MatrixFormat::kFp8 || format == MatrixFormat::kInt4;
    check_linear(format, {64, 64}, apart ? std::vector<int>{1, 3, kSplitRowsMax} : rows);
  }
  for (const Shape& shape : std::vector<Shape>{{1, 8}, {3, 24}, {70, 40}, {129, 1000}}) {
    check_linear(MatrixFormat::kBf16, shape, rows);
    check_linear(MatrixFormat::kInt8, shape, rows);
    check_linear(MatrixFormat::kFp8, shape, rows);
  }
}

BOOST_AUTO_TEST_CASE(the_shapes_of_the_12b_equal_the_exact_product) {
  for (const MatrixFormat format : kFormats)
    for (const Shape& shape :
         std::vector<Shape>{{8192, 3840}, {8704, 3840}, {3840, 4096}, {3840, 8192}, {3840, 15360}})
      // Of more rows in fp8 and int4 see below.
      check_linear(format, shape,
                   format == MatrixFormat::kFp8 || format == MatrixFormat::kInt4
                       ? std::vector<int>{1, 4}
                       : std::vector<int>{1, 4, 5, 13});
}

BOOST_AUTO_TEST_CASE(gate_and_up_equal_the_exact_gelu_and_product) {
  for (const MatrixFormat format : kFormats) {
    check_gate_up(format, {2, 32}, {1, 9, 64});
    check_gate_up(format, {70, 96}, {1, 2, 8, 17, 64});
    check_gate_up(format, {4226, 224}, {1, 5, 16, 33});
  }
  check_gate_up(MatrixFormat::kBf16, {30720, 3840}, {1, 6});
}

BOOST_AUTO_TEST_CASE(many_rows_equal_the_exact_product) {
  check_linear(MatrixFormat::kBf16, {64, 64}, {65, 100, 256, 257, 513});
  check_linear(MatrixFormat::kBf16, {3840, 4096}, {65, 130, 200});
  check_gate_up(MatrixFormat::kBf16, {272, 96}, {65, 129, 160, 192, 193, 255, 256, 300});
  const std::vector<int> in_tiles = {5, 17, 33, 64, 100, 128, 129, 160, 192, 193, 255, 256};
  check_linear(MatrixFormat::kInt8, {200, 1120}, in_tiles);
  check_gate_up(MatrixFormat::kInt8, {272, 96}, in_tiles);
}

// In int4 more than few, in int8 more than the tiles take.
BOOST_AUTO_TEST_CASE(many_rows_equal_the_exact_product_of_unpacked_weights) {
  for (const MatrixFormat format : {MatrixFormat::kInt8, MatrixFormat::kInt4})
    for (const Shape& shape : std::vector<Shape>{{64, 64}, {272, 1120}, {3840, 4096}}) {
      MatrixCase w(format, shape.first, shape.second);
      w.unpack();
      for (const int rows : format == MatrixFormat::kInt8
                                ? std::vector<int>{257, 513}
                                : std::vector<int>{5, 17, 100, 129, 192, 256, 257}) {
        ProductCase product(w.matrix, true, rows);
        const auto x = input(rows, shape.second);
        within(widened(product.linear(w.matrix, x, rows)),
               rounded_to_bf16(exact_product(w, x, rows)), w.name() + ", unpacked");
        within(widened(product.gate_up(w.matrix, x, rows)),
               exact_gate_up(w, packed_worth(MatrixFormat::kBf16, x, shape.second), rows),
               "gate and up of " + w.name() + ", unpacked");
      }
    }
}

BOOST_AUTO_TEST_CASE(many_rows_in_fp8_equal_the_exact_product_of_packed_rows) {
  for (const Shape& shape : std::vector<Shape>{{64, 64}, {288, 1000}, {3840, 4096}}) {
    const auto& [out, in] = shape;
    const MatrixCase w(MatrixFormat::kFp8, out, in);
    constexpr int kRows = 300;
    ProductCase product(w.matrix, true, kRows);
    const auto x = input(kRows, in);
    const auto packed = packed_worth(MatrixFormat::kFp8, x, in);
    auto exact = exact_product(w, packed, kRows);
    // The e4m3 products of this hardware keep fewer bits of their sums, which cuBLASLt and we make
    // along all of `in`: up to 1.02 * 2⁻¹² was seen.
    for (Bounded& element : exact) element.limit *= kE4m3Sums;
    for (const int rows : {5, 8, 13, 17, 33, 65, 128, 129, 160, 192, 193, 255, 256, 257, 300}) {
      const std::vector<Bounded> want(exact.begin(),
                                      exact.begin() + static_cast<std::ptrdiff_t>(rows) * out);
      within(widened(product.linear(w.matrix, first_rows(x, rows, in), rows)),
             rounded_to_bf16(want), w.name() + ", packed rows: " + std::to_string(rows));
      const std::vector<float> part(packed.begin(),
                                    packed.begin() + static_cast<std::ptrdiff_t>(rows) * in);
      auto gate_up = exact_gate_up(w, part, rows);
      for (Bounded& element : gate_up) element.limit *= kE4m3Sums;
      within(widened(product.gate_up(w.matrix, first_rows(x, rows, in), rows)), gate_up,
             "gate and up of packed rows");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_has_the_same_bits_in_every_company) {
  constexpr int kOut = 1000, kIn = 3872;
  const auto x = input(64, kIn);
  const DeviceArray<__nv_bfloat16> device_x(x);
  for (const MatrixFormat format : kFormats) {
    const MatrixCase w(format, kOut, kIn);
    ProductCase product(w.matrix, false, 64);
    const auto together = product.linear_float(w.matrix, x, 64);
    // Packed weights take up to four rows another way than more.
    std::vector<float> alone;
    for (int row = 0; row < 64; ++row) {
      const std::vector<__nv_bfloat16> one(x.begin() + std::ptrdiff_t{row} * kIn,
                                           x.begin() + std::ptrdiff_t{row + 1} * kIn);
      const auto y = product.linear_float(w.matrix, one, 1);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    const auto equal_rows = [&](const std::vector<float>& got, int first, int rows) {
      const auto& want = rows > kSplitRowsMax ? together : alone;
      return std::equal(got.begin(), got.begin() + std::ptrdiff_t{rows} * kOut,
                        want.begin() + std::ptrdiff_t{first} * kOut, [](float a, float b) {
                          return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
                        });
    };
    if (format == MatrixFormat::kBf16) BOOST_TEST(equal_rows(alone, 0, 64));
    for (const int rows : {1, 2, 3, 4, 5, 8, 11, 16, 24, 32, 47, 64})
      for (const int first : {0, 64 - rows}) {
        std::vector<__nv_bfloat16> part(x.begin() + std::ptrdiff_t{first} * kIn,
                                        x.begin() + std::ptrdiff_t{first + rows} * kIn);
        BOOST_TEST(equal_rows(product.linear_float(w.matrix, part, rows), first, rows),
                   w.name() << ": rows " << first << " to " << first + rows - 1);
      }
    for (const int blocks : {1, 7, 114, 132})
      for (const int rows : {3, 64}) {
        const DeviceArray<float> y(static_cast<std::size_t>(rows) * kOut);
        require(linear_few(w.matrix, {.x = device_x.data(), .rows = rows, .blocks = blocks},
                           y.data(), 0.0F, nullptr));
        BOOST_TEST(equal_rows(y.download(), 0, rows),
                   w.name() << ", " << rows << " rows on " << blocks << " blocks");
      }
  }
}

// One way from kSplitRowsMax + 1 rows to 256 (fp8: 128), whatever the rows of its tiles.
BOOST_AUTO_TEST_CASE(a_row_in_tiles_has_the_same_bits_in_every_company) {
  constexpr int kOut = 1056, kIn = 3872;
  for (const MatrixFormat format : kFormats) {
    const int most = format == MatrixFormat::kFp8 ? 128 : 256;
    const auto x = input(most, kIn);
    const MatrixCase w(format, kOut, kIn);
    ProductCase product(w.matrix, true, most);
    const auto linear = product.linear(w.matrix, x, most);
    const auto gate_up = product.gate_up(w.matrix, x, most);
    for (const int rows :
         {kSplitRowsMax + 1, 7, 8, 9, 15, 16, 17, 32, 100, 127, 128, 129, 192, 193, 255}) {
      if (rows > most) continue;
      const auto part = first_rows(x, rows, kIn);
      BOOST_TEST(same_bits(product.linear(w.matrix, part, rows), first_rows(linear, rows, kOut)),
                 w.name() << ", " << rows << " rows");
      BOOST_TEST(
          same_bits(product.gate_up(w.matrix, part, rows), first_rows(gate_up, rows, kOut / 2)),
          "gate and up of " << w.name() << ", " << rows << " rows");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_of_rubbish_stays_alone) {
  constexpr int kOut = 300, kIn = 512;
  for (const MatrixFormat format : kFormats)
    for (const int rows : {4, 20, 200})
      for (const float value :
           {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        const std::size_t bad = rows == 4 ? 2 : 9;
        const MatrixCase w(format, kOut, kIn);
        ProductCase product(w.matrix, true, rows);
        auto x = input(rows, kIn);
        const auto linear = product.linear(w.matrix, x, rows);
        const auto gate_up = product.gate_up(w.matrix, x, rows);
        x[bad * kIn + 77] = __float2bfloat16(value);
        const auto check = [&](const std::vector<__nv_bfloat16>& before,
                               const std::vector<__nv_bfloat16>& after, std::size_t width) {
          for (std::size_t i = 0; i < before.size(); ++i) {
            if (i / width != bad)
              BOOST_TEST_REQUIRE(bits(before[i]) == bits(after[i]));
            else if (std::isnan(value))
              BOOST_TEST_REQUIRE(std::isnan(__bfloat162float(after[i])));
          }
        };
        const auto rubbish = product.linear(w.matrix, x, rows);
        check(linear, rubbish, kOut);
        check(gate_up, product.gate_up(w.matrix, x, rows), kOut / 2);
        // A weight of zero times infinity is a number in no format.
        for (std::size_t i = 0; i < kOut; ++i)
          BOOST_TEST_REQUIRE(!std::isfinite(__bfloat162float(rubbish[bad * kOut + i])));
      }
}

BOOST_AUTO_TEST_CASE(a_second_run_and_a_captured_graph_give_the_same_bits) {
  constexpr int kHidden = 3840, kInner = 2048;
  const MatrixCase up(MatrixFormat::kBf16, 2 * kInner, kHidden, 3);
  const MatrixCase down(MatrixFormat::kBf16, kHidden, kInner, 4);
  for (const int rows : {1, 8, 64, 200}) {
    ProductCase product(up.matrix, true, rows);
    const auto x = input(rows, kHidden);
    const DeviceArray<__nv_bfloat16> in(x);
    const auto count = static_cast<std::size_t>(rows);
    const DeviceArray<__nv_bfloat16> h(count * kInner), y(count * kHidden);
    cudaStream_t stream = nullptr;
    require(cudaStreamCreate(&stream));
    const auto enqueue = [&] {
      product.products.gate_up(up.matrix, in.data(), h.data(), rows, product.workspace, stream);
      product.products.linear(down.matrix, h.data(), y.data(), rows, product.workspace, stream);
      product.products.linear(down.matrix, h.data(), y.data(), rows, product.workspace, stream);
    };
    std::vector<std::vector<__nv_bfloat16>> results;
    const auto collect = [&] {
      require(cudaStreamSynchronize(stream));
      results.push_back(y.download());
      require(cudaMemset(y.data(), 0, y.size() * sizeof(__nv_bfloat16)));
      require(cudaDeviceSynchronize());
    };
    for (int run = 0; run < 2; ++run) {
      enqueue();
      collect();
    }
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    enqueue();
    require(cudaStreamEndCapture(stream, &graph));
    require(cudaGraphInstantiate(&executable, graph, 0));
    for (int run = 0; run < 3; ++run) {
      require(cudaGraphLaunch(executable, stream));
      collect();
    }
    for (std::size_t i = 1; i < results.size(); ++i)
      BOOST_TEST(same_bits(results[0], results[i]), rows << " rows, run " << i);
    require(cudaGraphExecDestroy(executable));
    require(cudaGraphDestroy(graph));
    require(cudaStreamDestroy(stream));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused_with_a_sentence) {
  const MatrixCase w(MatrixFormat::kBf16, 64, 64);
  ProductCase product(w.matrix, true, 100);
  const DeviceArray<__nv_bfloat16> x(std::size_t{100} * 64), y(std::size_t{100} * 64);
  const auto refused = [&](Matrix matrix, int rows, ProductWorkspace workspace,
                           const std::string& words) {
    BOOST_CHECK_EXCEPTION(
        product.products.linear(matrix, x.data(), y.data(), rows, workspace, nullptr),
        std::invalid_argument, [&](const std::invalid_argument& error) {
          return std::string(error.what()).find(words) != std::string::npos;
        });
  };
  Matrix odd = w.matrix;
  odd.in = 60;
  refused(odd, 1, product.workspace, "a multiple of 8");
  Matrix no_scales = w.matrix;
  no_scales.format = MatrixFormat::kInt8;
  refused(no_scales, 1, product.workspace, "scales");
  refused(w.matrix, 0, product.workspace, "0 rows");
  refused(w.matrix, 100, {}, "needs a workspace of");
  product.products.linear(w.matrix, x.data(), y.data(), 100, product.workspace, nullptr);
  require(cudaDeviceSynchronize());
}
