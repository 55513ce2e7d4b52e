#define BOOST_TEST_MODULE head
#include <algorithm>
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

#include "model/kernels/matrix_products.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr float kSoftcap = 30.0F;

// A head of one matrix, with logits and choices as the products give them.
struct HeadCase {
  const MatrixCase& w;
  ProductCase product;
  DeviceArray<std::uint32_t> suppressed;
  Head head;

  HeadCase(const MatrixCase& matrix, float softcap, const std::vector<int>& hidden)
      : w(matrix), product(matrix.matrix, false, 1) {
    std::vector<std::uint32_t> mask((static_cast<std::size_t>(matrix.matrix.out) + 31) / 32);
    for (const int token : hidden)
      mask[static_cast<std::size_t>(token) / 32] |= 1U << (static_cast<unsigned>(token) % 32);
    suppressed = DeviceArray<std::uint32_t>(mask);
    head = {.embedding = matrix.matrix,
            .softcap = softcap,
            .suppressed = hidden.empty() ? nullptr : suppressed.data()};
  }

  std::vector<float> logits(const std::vector<__nv_bfloat16>& x, int rows) {
    const DeviceArray<__nv_bfloat16> in(x);
    const DeviceArray<float> result(static_cast<std::size_t>(rows) *
                                    static_cast<std::size_t>(w.matrix.out));
    product.products.head_logits(head, in.data(), result.data(), rows, product.workspace, nullptr);
    return result.download();
  }
  std::vector<GreedyChoice> greedy(const std::vector<__nv_bfloat16>& x, int rows) {
    const DeviceArray<__nv_bfloat16> in(x);
    const DeviceArray<GreedyChoice> result(static_cast<std::size_t>(rows));
    product.products.head_greedy(head, in.data(), result.data(), rows, product.workspace, nullptr);
    return result.download();
  }
};

std::vector<__nv_bfloat16> input(int rows, int in) {
  return uniform_bf16(static_cast<std::size_t>(rows) * static_cast<std::size_t>(in), 11, 1.0F);
}

// The definition: the first of the largest that are not hidden.
int first_largest(const std::vector<float>& logits, std::size_t row, std::size_t vocabulary,
                  const std::vector<int>& hidden) {
  int best = -1;
  for (std::size_t token = 0; token < vocabulary; ++token) {
    if (std::find(hidden.begin(), hidden.end(), static_cast<int>(token)) != hidden.end()) continue;
    if (best < 0 || logits[row * vocabulary + token] >
                        logits[row * vocabulary + static_cast<std::size_t>(best)])
      best = static_cast<int>(token);
  }
  return best;
}

void check_greedy(HeadCase& head, const std::vector<__nv_bfloat16>& x, int rows,
                  const std::vector<int>& hidden) {
  const auto vocabulary = static_cast<std::size_t>(head.w.matrix.out);
  const auto logits = head.logits(x, rows);
  for (int run = 0; run < 2; ++run) {
    const auto choices = head.greedy(x, rows);
    for (std::size_t row = 0; row < choices.size(); ++row) {
      BOOST_TEST(choices[row].finite == 1);
      BOOST_TEST(choices[row].token == first_largest(logits, row, vocabulary, hidden),
                 head.w.name() << ", row " << row << " of " << rows << ", run " << run);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(logits_equal_the_exact_softcapped_product) {
  for (const MatrixFormat format : kFormats)
    for (const int rows : {1, 3, 9, 70}) {
      const MatrixCase w(format, 1003, 416);
      HeadCase head(w, kSoftcap, {5});
      const auto x = input(rows, 416);
      auto want = exact_product(w, x, rows);
      // The softcap's slope is at most 1; tanhf and two roundings of the result are below 1e-6 of
      // it.
      for (Bounded& logit : want) {
        const double capped = kSoftcap * std::tanh(logit.value / kSoftcap);
        logit = {capped, logit.limit + 1e-6 * (std::fabs(capped) + 1)};
      }
      within(widened(head.logits(x, rows)), want, "logits of " + w.name());
    }
}

// A vocabulary that goes to the tiles beyond few rows, and to several launches of them; in fp8 and
// int4 see test_many_rows.
BOOST_AUTO_TEST_CASE(logits_of_a_large_vocabulary_equal_the_exact_product) {
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kInt8}) {
    const MatrixCase w(format, 33000, 96);
    HeadCase head(w, 0.0F, {});
    for (const int rows : {4, 5, 70, 130}) {
      const auto x = input(rows, 96);
      within(widened(head.logits(x, rows)), exact_product(w, x, rows), "logits of " + w.name());
    }
  }
}

BOOST_AUTO_TEST_CASE(the_greedy_choice_is_the_first_largest_logit_that_is_not_suppressed) {
  for (const MatrixFormat format : kFormats)
    for (const int vocabulary : {1, 7, 300, 5003, 33000}) {
      const MatrixCase w(format, vocabulary, 96, 5);
      for (const int rows : {1, 2, 3, 4, 8, 13, 32, 64, 65, 130}) {
        const auto x = input(rows, 96);
        HeadCase open(w, kSoftcap, {});
        check_greedy(open, x, rows, {});
        if (vocabulary == 1) continue;
        std::vector<int> hidden;
        for (const auto& choice : open.greedy(x, rows)) hidden.push_back(choice.token);
        if (static_cast<int>(hidden.size()) >= vocabulary) continue;
        HeadCase closed(w, 0.0F, hidden);
        check_greedy(closed, x, rows, hidden);
      }
    }
}

BOOST_AUTO_TEST_CASE(the_head_of_the_12b_chooses_its_first_largest_logit) {
  const MatrixCase w(MatrixFormat::kBf16, 262144, 3840);
  const std::vector<int> hidden{258882, 258883};
  HeadCase head(w, kSoftcap, hidden);
  check_greedy(head, input(3, 3840), 3, hidden);
}

BOOST_AUTO_TEST_CASE(of_equal_logits_the_lowest_id_wins) {
  constexpr int kVocabulary = 4000, kIn = 64;
  const auto one = uniform_bf16(kIn, 3, 0.1F);
  std::vector<__nv_bfloat16> all;
  for (int token = 0; token < kVocabulary; ++token) all.insert(all.end(), one.begin(), one.end());
  const MatrixCase w(MatrixFormat::kBf16, kVocabulary, kIn, all);
  HeadCase head(w, kSoftcap, {0, 1, 3});
  for (const auto& choice : head.greedy(input(40, kIn), 40)) BOOST_TEST(choice.token == 2);
}

BOOST_AUTO_TEST_CASE(a_row_whose_logits_are_not_finite_says_so_and_no_other) {
  constexpr int kIn = 96;
  for (const MatrixFormat format : kFormats)
    for (const auto& [rows, bad] : {std::pair<int, std::size_t>{20, 13}, {3, 1}})
      for (const float rubbish :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const MatrixCase w(format, 500, kIn);
        HeadCase head(w, kSoftcap, {});
        auto x = input(rows, kIn);
        const auto before = head.greedy(x, rows);
        x[bad * kIn + 5] = __float2bfloat16(rubbish);
        const auto after = head.greedy(x, rows);
        for (std::size_t row = 0; row < after.size(); ++row) {
          BOOST_TEST(after[row].finite == (row == bad ? 0 : 1));
          if (row != bad) BOOST_TEST(after[row].token == before[row].token);
        }
      }
}
