#define BOOST_TEST_MODULE decode_step
#include <cmath>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/kernels/attention.h"
#include "model/kernels/rotary.h"
#include "tests/kernels/attention_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr HeadShape kSliding = {.heads = 16, .kv_heads = 8, .head_dim = 256};
constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kFp8};
constexpr HeadShape kFull = {.heads = 16, .kv_heads = 1, .head_dim = 512};

// What rotate_and_attend() is given beside the rows and pages of a case.
class Projections {
 public:
  Projections(const AttentionCase& step, int rotary_pairs, bool value_is_key)
      : step_(step),
        projected_(random_bf16(values(step.work(), step.rows(), value_is_key), 21, 2.0F)),
        query_weight_(random_bf16(dim(step.work()), 22, 0.1F, 0.25F)),
        key_weight_(random_bf16(dim(step.work()), 23, 0.1F, 0.4F)),
        frequency_(frequencies(step.work(), rotary_pairs)),
        query_(static_cast<std::size_t>(step.rows() * step.work().heads) * dim(step.work())),
        rotary_pairs_(rotary_pairs),
        value_is_key_(value_is_key) {}

  RotateAndStore work() const {
    return {.projected = projected_.data(),
            .query_weight = query_weight_.data(),
            .key_weight = key_weight_.data(),
            .inverse_frequency = frequency_.data(),
            .query = query_.data(),
            .kv = step_.work().kv,
            .rows = step_.work().rows,
            .pages = step_.work().pages,
            .heads = step_.work().heads,
            .rotary_pairs = rotary_pairs_,
            .value_is_key = value_is_key_,
            .eps = 1e-6F};
  }

 private:
  static std::size_t dim(const Attention& work) {
    return static_cast<std::size_t>(work.kv.head_dim);
  }
  static std::size_t values(const Attention& work, int rows, bool value_is_key) {
    const int heads = work.heads + (value_is_key ? 1 : 2) * work.kv.kv_heads;
    return static_cast<std::size_t>(rows * heads) * dim(work);
  }
  static std::vector<float> frequencies(const Attention& work, int pairs) {
    std::vector<float> out;
    for (int i = 0; i < pairs; ++i) {
      out.push_back(
          std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(work.kv.head_dim)));
    }
    return out;
  }

  const AttentionCase& step_;
  const DeviceArray<__nv_bfloat16> projected_;
  const DeviceArray<__nv_bfloat16> query_weight_;
  const DeviceArray<__nv_bfloat16> key_weight_;
  const DeviceArray<float> frequency_;
  const DeviceArray<__nv_bfloat16> query_;
  const int rotary_pairs_;
  const bool value_is_key_;
};

struct Result {
  std::vector<__nv_bfloat16> out;
  std::vector<unsigned char> pages;
};

// Both ways over the same pages; `count` rows from the first.
Result run(AttentionCase& step, const Projections& projections, int count, bool fused) {
  step.restore_pages();
  const Attention& work = step.work();
  const std::size_t values = static_cast<std::size_t>(count * work.heads * work.kv.head_dim);
  const DeviceArray<__nv_bfloat16> out(values);
  const DeviceArray<unsigned char> workspace(
      decode_workspace_bytes(work.heads, work.kv.head_dim, count, step.keys_max()));
  const DecodeRows rows = {
      .list = nullptr, .count = count, .keys_max = step.keys_max(), .workspace = workspace.data()};
  if (fused) {
    require(rotate_and_attend(projections.work(), out.data(), rows, nullptr));
  } else {
    Attention apart = work;
    apart.query = projections.work().query;
    apart.out = out.data();
    require(rotate_and_store(projections.work(), count, nullptr));
    require(attend_decode(apart, rows, nullptr));
  }
  Result result = {.out = out.download(), .pages = {}};
  result.pages = step.pages();
  return result;
}

void expect_same(AttentionCase& step, const Projections& projections) {
  BOOST_REQUIRE(rotate_and_attend_supports(step.work().heads, step.work().kv));
  const Result apart = run(step, projections, step.rows(), false);
  const Result fused = run(step, projections, step.rows(), true);
  BOOST_TEST(same_bits(apart.out, fused.out));
  BOOST_TEST((apart.pages == fused.pages));
  BOOST_TEST(!same_bits(apart.out, std::vector<__nv_bfloat16>(apart.out.size())));
  BOOST_TEST(same_bits(run(step, projections, step.rows(), true).out, fused.out));
  // The first row alone.
  const Result alone = run(step, projections, 1, true);
  const std::vector<__nv_bfloat16> first(
      fused.out.begin(), fused.out.begin() + static_cast<std::ptrdiff_t>(alone.out.size()));
  BOOST_TEST(same_bits(alone.out, first));
}

std::vector<SequenceRows> last_rows(const std::vector<int>& lengths) {
  std::vector<SequenceRows> sequences;
  for (const int length : lengths) sequences.push_back({.first_position = length - 1, .count = 1});
  return sequences;
}

const std::vector<int> kLengths = {1025, 1,  2,  15,  16,   17,   31,   32,   33,  63,
                                   64,   65, 66, 129, 1023, 1024, 1040, 1041, 4097};

}  // namespace

BOOST_AUTO_TEST_CASE(one_kernel_gives_the_bits_of_two_with_a_window) {
  for (const KvFormat format : kFormats) {
    AttentionCase step(kSliding, 1024, last_rows(kLengths), false, format);
    expect_same(step, Projections(step, 128, false));
  }
}

BOOST_AUTO_TEST_CASE(one_kernel_gives_the_bits_of_two_over_all_positions) {
  AttentionCase step(kFull, 0, last_rows(kLengths));
  expect_same(step, Projections(step, 64, true));
}

BOOST_AUTO_TEST_CASE(one_kernel_gives_the_bits_of_two_with_other_heads) {
  for (const HeadShape shape : {HeadShape{4, 4, 256}, HeadShape{16, 1, 256}, HeadShape{12, 4, 256},
                                HeadShape{8, 4, 512}, HeadShape{6, 2, 512}}) {
    for (const bool value_is_key : {false, true}) {
      for (const KvFormat format : kFormats) {
        AttentionCase step(shape, 100, last_rows({1, 99, 100, 101, 300}), false, format);
        if (format == KvFormat::kFp8 && shape.heads / shape.kv_heads > 4) continue;
        expect_same(step, Projections(step, shape.head_dim / 8, value_is_key));
      }
    }
  }
}

// Blocks take several splits when there are many rows; the bits are those of one row.
BOOST_AUTO_TEST_CASE(many_rows_give_the_bits_of_one) {
  std::vector<int> lengths;
  for (int i = 0; i < 56; ++i) lengths.push_back(300 + i * 19);
  for (const KvFormat format : kFormats) {
    AttentionCase sliding(kSliding, 1024, last_rows(lengths), false, format);
    expect_same(sliding, Projections(sliding, 128, false));
  }
}

BOOST_AUTO_TEST_CASE(a_step_without_its_arrays_is_refused) {
  BOOST_TEST(rotate_and_attend({}, nullptr, {}, nullptr) == cudaErrorInvalidValue);
  // Sixteen heads on one KV head share no block that rotates, over fp8 pages.
  BOOST_TEST(!rotate_and_attend_supports(
      16, {.base = nullptr, .kv_heads = 1, .head_dim = 512, .format = KvFormat::kFp8}));
}
