#define BOOST_TEST_MODULE layer_chain
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/few_rows.h"
#include "model/kernels/layer_chain.h"
#include "model/kernels/norm.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

using Value = __nv_bfloat16;

constexpr float kEps = 1e-6F;

struct Shape {
  int attended;
  int hidden;
  int inner;
  int projected;  // 0: no layer follows
};

int multiprocessors() {
  int count = 0;
  require(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
  return count;
}

std::size_t area(int rows, int width) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
}

struct Result {
  std::vector<Value> hidden;
  std::vector<Value> projected;
};

// Weights and rows of one chain, and both ways to compute it.
class ChainCase {
 public:
  ChainCase(MatrixFormat format, const Shape& shape)
      : shape_(shape),
        out_(format, shape.hidden, shape.attended, 11),
        gate_up_(format, 2 * shape.inner, shape.hidden, 12),
        down_(format, shape.hidden, shape.inner, 13),
        next_(format, shape.projected > 0 ? shape.projected : 8, shape.hidden, 14),
        post_attention_(norm_weight(1)),
        pre_feedforward_(norm_weight(2)),
        post_feedforward_(norm_weight(3)),
        input_(norm_weight(4)),
        scalar_(std::vector<Value>{__float2bfloat16(0.7F)}),
        attended_(area(kSplitRowsMax, shape.attended)),
        hidden_(area(kSplitRowsMax, shape.hidden)),
        middle_(area(kSplitRowsMax, shape.hidden)),
        sublayer_(area(kSplitRowsMax, shape.hidden)),
        active_(area(kSplitRowsMax, shape.inner)),
        projected_(area(kSplitRowsMax, shape.projected > 0 ? shape.projected : 8)),
        counters_(kChainCounterBytes) {}

  std::string name(int rows) const {
    return out_.name() + " to " + std::to_string(shape_.projected) + ", " + std::to_string(rows) +
           " rows";
  }

  LayerChain chain(int rows) const {
    const bool next = shape_.projected > 0;
    return {.attention_out = out_.matrix,
            .gate_up = gate_up_.matrix,
            .down = down_.matrix,
            .query_key_value = next ? next_.matrix : Matrix{},
            .post_attention_norm = post_attention_.data(),
            .pre_feedforward_norm = pre_feedforward_.data(),
            .post_feedforward_norm = post_feedforward_.data(),
            .scalar = scalar_.data(),
            .input_norm = next ? input_.data() : nullptr,
            .attended = attended_.data(),
            .hidden = hidden_.data(),
            .projected = next ? projected_.data() : nullptr,
            .middle = middle_.data(),
            .sublayer = sublayer_.data(),
            .active = active_.data(),
            .counters = counters_.data(),
            .rows = rows,
            .blocks = multiprocessors(),
            .eps = kEps};
  }

  // Fills rows 0 … kSplitRowsMax - 1; those from `other` on with other values.
  void fill(int other = kSplitRowsMax) {
    attended_.upload(rows_of(shape_.attended, other, 21));
    hidden_.upload(rows_of(shape_.hidden, other, 22));
  }
  void put_nan_into_attended() {
    auto values = attended_.download();
    values[area(1, shape_.attended) / 2] =
        __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
    attended_.upload(values);
  }

  // `times`: launches one after another, each on the residual stream of the one before.
  Result chained(int rows, int times = 1) {
    for (int i = 0; i < times; ++i) require(run_layer_chain(chain(rows), nullptr));
    return result(rows);
  }
  Result apart(int rows, int times = 1) {
    for (int i = 0; i < times; ++i) {
      const int blocks = multiprocessors();
      require(linear_few(out_.matrix, {attended_.data(), rows, blocks}, sublayer_.data(), nullptr));
      seam(rows, post_attention_, nullptr, &pre_feedforward_);
      require(
          gate_up_few(gate_up_.matrix, {sublayer_.data(), rows, blocks}, active_.data(), nullptr));
      require(linear_few(down_.matrix, {active_.data(), rows, blocks}, sublayer_.data(), nullptr));
      seam(rows, post_feedforward_, scalar_.data(), shape_.projected > 0 ? &input_ : nullptr);
      if (shape_.projected > 0)
        require(
            linear_few(next_.matrix, {sublayer_.data(), rows, blocks}, projected_.data(), nullptr));
    }
    return result(rows);
  }

 private:
  DeviceArray<Value> norm_weight(unsigned seed) const {
    return DeviceArray<Value>(
        random_bf16(static_cast<std::size_t>(shape_.hidden), seed, 0.5F, 1.0F));
  }
  static std::vector<Value> rows_of(int width, int other, unsigned seed) {
    const auto values = random_bf16(area(kSplitRowsMax, width), seed, 1.0F);
    auto mixed = random_bf16(area(kSplitRowsMax, width), seed + 100, 4.0F);
    for (std::size_t i = 0; i < area(other, width); ++i) mixed[i] = values[i];
    return mixed;
  }
  void seam(int rows, const DeviceArray<Value>& post, const Value* scalar,
            const DeviceArray<Value>* pre) {
    require(residual_norm({.sublayer = sublayer_.data(),
                           .post_weight = post.data(),
                           .scalar = scalar,
                           .pre_weight = pre == nullptr ? nullptr : pre->data(),
                           .hidden = hidden_.data(),
                           .y = pre == nullptr ? nullptr : sublayer_.data(),
                           .width = shape_.hidden,
                           .eps = kEps},
                          rows, nullptr));
  }
  Result result(int rows) const {
    const auto first = [&](const DeviceArray<Value>& values, int width) {
      auto all = values.download();
      all.resize(area(rows, width));
      return all;
    };
    return {first(hidden_, shape_.hidden), first(projected_, shape_.projected)};
  }

  Shape shape_;
  MatrixCase out_, gate_up_, down_, next_;
  DeviceArray<Value> post_attention_, pre_feedforward_, post_feedforward_, input_, scalar_;
  DeviceArray<Value> attended_, hidden_, middle_, sublayer_, active_, projected_;
  DeviceArray<char> counters_;
};

void expect_same(const Result& got, const Result& want, const std::string& what) {
  BOOST_TEST(same_bits(got.hidden, want.hidden), what << ": the residual stream differs");
  BOOST_TEST(same_bits(got.projected, want.projected), what << ": the projection differs");
}

void check_shape(const Shape& shape, const std::vector<int>& row_counts, int times) {
  for (const MatrixFormat format : kFormats) {
    ChainCase one(format, shape);
    for (const int rows : row_counts) {
      BOOST_TEST_REQUIRE(chains(one.chain(rows)), one.name(rows));
      one.fill();
      const Result want = one.apart(rows, times);
      one.fill();
      expect_same(one.chained(rows, times), want, one.name(rows));
      bool moved = false;
      for (const Value value : want.hidden) moved = moved || !(wide(value) == 0);
      BOOST_TEST(moved, one.name(rows) << ": all zero");
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_chain_has_the_bits_of_its_kernels_one_by_one) {
  check_shape({64, 96, 160, 128}, {1, 2, 3, 4}, 3);
  check_shape({512, 320, 704, 1120}, {1, 4}, 3);
  check_shape({32, 32, 32, 32}, {1, 3}, 5);
}

BOOST_AUTO_TEST_CASE(the_last_layer_ends_with_the_residual_stream) {
  check_shape({64, 96, 160, 0}, {1, 4}, 3);
  check_shape({4096, 3840, 15360, 0}, {1}, 2);
}

BOOST_AUTO_TEST_CASE(the_layers_of_the_12b_have_the_bits_of_their_kernels_many_times_over) {
  check_shape({4096, 3840, 15360, 8192}, {1, 2, 4}, 20);
  check_shape({8192, 3840, 15360, 8704}, {1}, 20);
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_its_neighbours) {
  for (const MatrixFormat format : kFormats) {
    ChainCase one(format, {512, 320, 704, 1120});
    one.fill();
    const Result alone = one.chained(1, 2);
    one.fill(1);
    Result beside = one.chained(4, 2);
    beside.hidden.resize(alone.hidden.size());
    beside.projected.resize(alone.projected.size());
    expect_same(beside, alone, one.name(4));
  }
}

BOOST_AUTO_TEST_CASE(not_a_number_reaches_every_output_of_its_row) {
  for (const MatrixFormat format : kFormats) {
    ChainCase one(format, {64, 96, 160, 128});
    one.fill();
    one.put_nan_into_attended();
    const Result got = one.chained(1);
    for (const Value value : got.projected) BOOST_TEST(!(wide(value) == wide(value)));
    for (const Value value : got.hidden) BOOST_TEST(!(wide(value) == wide(value)));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_chained_is_refused) {
  ChainCase one(MatrixFormat::kBf16, {64, 96, 160, 128});
  LayerChain chain = one.chain(1);
  BOOST_TEST(chains(chain));
  chain.rows = kSplitRowsMax + 1;
  BOOST_TEST(!chains(chain));
  BOOST_TEST(run_layer_chain(chain, nullptr) == cudaErrorInvalidValue);
  chain = one.chain(1);
  chain.down.out -= 8;
  BOOST_TEST(!chains(chain));
  chain = one.chain(1);
  chain.counters = nullptr;
  BOOST_TEST(run_layer_chain(chain, nullptr) == cudaErrorInvalidValue);
  chain = one.chain(1);
  chain.query_key_value.format = MatrixFormat::kInt8;
  BOOST_TEST(!chains(chain));
}
