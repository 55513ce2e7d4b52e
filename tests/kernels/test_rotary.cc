#define BOOST_TEST_MODULE rotary
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_fp8.h>

#include "model/kernels/rotary.h"
#include "tests/kernels/device_array.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

struct Layer {
  int heads;
  int kv_heads;
  int head_dim;
  int rotary_pairs;
  bool value_is_key;

  std::size_t projected_heads() const {
    return static_cast<std::size_t>(heads + (value_is_key ? 1 : 2) * kv_heads);
  }
};

constexpr Layer kSliding = {16, 8, 256, 128, false};
constexpr Layer kFull = {16, 1, 512, 64, true};
constexpr float kUntouched = 77.0F;
constexpr unsigned char kUntouchedByte = 77;
constexpr int kPages = 40;

// A step of rows at `positions` of two sequences, each with a page table of its own.
struct Step {
  Layer layer;
  std::vector<KvRow> rows;
  std::vector<int> pages;
  std::vector<__nv_bfloat16> projected;
  std::vector<__nv_bfloat16> query_weight;
  std::vector<__nv_bfloat16> key_weight;
  std::vector<float> frequency;
  KvFormat format;

  explicit Step(const Layer& of, KvFormat kv = KvFormat::kBf16) : layer(of), format(kv) {
    // The first sequence ends at a page's end, the second crosses one far out; a row is padding.
    const int far = 100000;  // a multiple of 16
    for (const int position : {0, 1, 14, 15}) rows.push_back({.position = position});
    rows.push_back({.position = -1});
    for (const int position : {far - 1, far, far + 17}) {
      rows.push_back({.position = position, .page_begin = 1 - (far - 16) / kKvPagePositions});
    }
    pages = {5, 8, 2, 0};
    const auto dim = static_cast<std::size_t>(layer.head_dim);
    projected = random_bf16(rows.size() * layer.projected_heads() * dim, 1, 3.0F);
    query_weight = random_bf16(dim, 2, 0.3F, 1.0F);
    key_weight = random_bf16(dim, 3, 0.05F, 0.12F);
    for (int i = 0; i < layer.rotary_pairs; ++i) {
      frequency.push_back(
          std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(layer.head_dim)));
    }
    if (frequency.empty()) frequency.push_back(0.0F);  // so that there is an array
  }

  // The same layer with rows that fill pages: the run of each of `runs` has its own page table.
  struct Run {
    int first_position;
    int count;
  };
  Step filling(const std::vector<Run>& runs) const {
    Step out = *this;
    out.rows.clear();
    out.pages.clear();
    for (const Run& run : runs) {
      const int first_page = run.first_position / kKvPagePositions;
      const int page_begin = static_cast<int>(out.pages.size()) - first_page;
      for (int i = 0; i < run.count; ++i) {
        out.rows.push_back({.position = run.first_position + i, .page_begin = page_begin});
      }
      const int last_page = (run.first_position + run.count - 1) / kKvPagePositions;
      for (int page = first_page; page <= last_page; ++page) {
        out.pages.push_back(kPages - 1 - static_cast<int>(out.pages.size()));
      }
      out.rows.push_back({.position = -1});
    }
    BOOST_TEST_REQUIRE(out.pages.size() <= static_cast<std::size_t>(kPages));
    out.projected = random_bf16(
        out.rows.size() * layer.projected_heads() * static_cast<std::size_t>(layer.head_dim), 4,
        3.0F);
    return out;
  }
};

struct Result {
  std::vector<__nv_bfloat16> query;
  std::vector<unsigned char> kv;
};

// Random keys stay below 4 here.
constexpr float kKeyScale = 64.0F;

// `count` rows from `first_row` on in launches of at most `piece`.
Result run(const Step& step, std::size_t first_row, std::size_t count, std::size_t piece) {
  const Layer& layer = step.layer;
  const auto dim = static_cast<std::size_t>(layer.head_dim);
  const DeviceArray<__nv_bfloat16> projected(step.projected);
  const DeviceArray<__nv_bfloat16> query_weight(step.query_weight);
  const DeviceArray<__nv_bfloat16> key_weight(step.key_weight);
  const DeviceArray<float> frequency(step.frequency);
  const DeviceArray<KvRow> rows(step.rows);
  const DeviceArray<int> pages(step.pages);
  KvLayer kv = {.base = nullptr,
                .kv_heads = layer.kv_heads,
                .head_dim = layer.head_dim,
                .format = step.format,
                .key_scale = kKeyScale};
  const DeviceArray<unsigned char> pool(
      std::vector<unsigned char>(kPages * kv.page_bytes(), kUntouchedByte));
  const DeviceArray<__nv_bfloat16> query(
      std::vector<__nv_bfloat16>(step.rows.size() * static_cast<std::size_t>(layer.heads) * dim,
                                 __float2bfloat16(kUntouched)));
  kv.base = pool.data();
  for (std::size_t row = first_row; row < first_row + count; row += piece) {
    require(
        rotate_and_store({.projected = projected.data() + row * layer.projected_heads() * dim,
                          .query_weight = query_weight.data(),
                          .key_weight = key_weight.data(),
                          .inverse_frequency = frequency.data(),
                          .query = query.data() + row * static_cast<std::size_t>(layer.heads) * dim,
                          .kv = kv,
                          .rows = rows.data() + row,
                          .pages = pages.data(),
                          .heads = layer.heads,
                          .rotary_pairs = layer.rotary_pairs,
                          .value_is_key = layer.value_is_key,
                          .eps = 1e-6F},
                         static_cast<int>(std::min(piece, first_row + count - row)), nullptr));
  }
  return {.query = query.download(), .kv = pool.download()};
}

Result run(const Step& step) { return run(step, 0, step.rows.size(), step.rows.size()); }

// float64 result of a head of a row, and what its roundings may add up to.
struct Wanted {
  std::vector<double> values;
  std::vector<double> limits;
};

Wanted want_head(const Step& step, std::size_t row, std::size_t head,
                 const std::vector<__nv_bfloat16>* weight) {
  const auto dim = static_cast<std::size_t>(step.layer.head_dim);
  const __nv_bfloat16* x =
      step.projected.data() + (row * step.layer.projected_heads() + head) * dim;
  double sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += wide(x[i]) * wide(x[i]);
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(dim) + 1e-6);
  Wanted want;
  for (std::size_t i = 0; i < dim; ++i) {
    want.values.push_back(wide(x[i]) * scale * (weight == nullptr ? 1.0 : wide((*weight)[i])));
    want.limits.push_back(1.01 * kHalfUlp * std::abs(want.values.back()) + 1e-7);
  }
  if (weight == nullptr) return want;
  for (std::size_t i = 0; i < static_cast<std::size_t>(step.layer.rotary_pairs); ++i) {
    // The angle is float32 in the reference as well.
    const float angle = static_cast<float>(step.rows[row].position) * step.frequency[i];
    const double cosine = std::cos(static_cast<double>(angle));
    const double sine = std::sin(static_cast<double>(angle));
    const double low = want.values[i];
    const double high = want.values[i + dim / 2];
    want.values[i] = low * cosine - high * sine;
    want.values[i + dim / 2] = high * cosine + low * sine;
    // Rounded: the norm, cosine or sine, each product, the sum.
    want.limits[i] = 4.1 * kHalfUlp * (std::abs(low * cosine) + std::abs(high * sine)) + 1e-6;
    want.limits[i + dim / 2] =
        4.1 * kHalfUlp * (std::abs(high * cosine) + std::abs(low * sine)) + 1e-6;
  }
  return want;
}

void expect_head(const std::vector<double>& got, const Wanted& want, const char* what,
                 std::size_t row, std::size_t head) {
  for (std::size_t i = 0; i < want.values.size(); ++i) {
    const double error = std::abs(got[i] - want.values[i]);
    if (!(error <= want.limits[i])) {
      BOOST_ERROR(what << " of row " << row << ", head " << head << ", dim " << i << ": got "
                       << got[i] << ", want " << want.values[i] << ", limit " << want.limits[i]);
      return;
    }
  }
}

// e4m3 has four significant bits, down to 2^-6 and then steps of 2^-9.
Wanted in_fp8(Wanted want, float scale) {
  for (std::size_t i = 0; i < want.values.size(); ++i) {
    const double most = std::abs(want.values[i]) + want.limits[i];
    want.limits[i] += std::max(most / 16, std::exp2(-10) / static_cast<double>(scale));
  }
  return want;
}

// The key or the value of a position, read from its page, where it is then marked as read.
std::vector<double> take(const Step& step, Result& result, std::size_t page, std::size_t line,
                         std::size_t head, bool is_value) {
  const KvLayer kv = {.base = nullptr,
                      .kv_heads = step.layer.kv_heads,
                      .head_dim = step.layer.head_dim,
                      .format = step.format};
  const auto dims = static_cast<std::size_t>(kv.head_dim);
  unsigned char* at = result.kv.data() + page * kv.page_bytes();
  std::vector<double> out;
  for (std::size_t dim = 0; dim < dims; ++dim) {
    if (step.format == KvFormat::kBf16) {
      const std::size_t kv_head = (is_value ? static_cast<std::size_t>(kv.kv_heads) : 0) + head;
      unsigned char* value =
          at + ((kv_head * kKvPagePositions + line) * dims + dim) * sizeof(__nv_bfloat16);
      __nv_bfloat16 got;
      std::memcpy(&got, value, sizeof(got));
      out.push_back(wide(got));
      std::fill_n(value, sizeof(got), kUntouchedByte);
      continue;
    }
    const int place = static_cast<int>(line);
    unsigned char* value = at + (head * 2 + (is_value ? 1 : 0)) * kv.fp8_half_bytes() +
                           (is_value ? fp8_value_offset(place, static_cast<int>(dim))
                                     : fp8_key_offset(place, static_cast<int>(dim), kv.head_dim));
    __nv_fp8_e4m3 got;
    got.__x = *value;
    out.push_back(static_cast<double>(static_cast<float>(got)) /
                  static_cast<double>(is_value ? kFp8ValueScale : kKeyScale));
    *value = kUntouchedByte;
  }
  return out;
}

// Checks all of the result; what no row writes must be as it was.
void expect_all(const Step& step, Result got) {
  const Layer& layer = step.layer;
  const auto dim = static_cast<std::size_t>(layer.head_dim);
  const auto heads = static_cast<std::size_t>(layer.heads);
  const auto kv_heads = static_cast<std::size_t>(layer.kv_heads);
  const bool fp8 = step.format == KvFormat::kFp8;
  for (std::size_t row = 0; row < step.rows.size(); ++row) {
    const KvRow& at = step.rows[row];
    if (at.position < 0) continue;
    for (std::size_t head = 0; head < heads; ++head) {
      std::vector<double> query;
      for (std::size_t i = 0; i < dim; ++i) {
        query.push_back(wide(got.query[(row * heads + head) * dim + i]));
      }
      expect_head(query, want_head(step, row, head, &step.query_weight), "query", row, head);
    }
    const auto page = static_cast<std::size_t>(
        step.pages[static_cast<std::size_t>(at.page_begin + at.position / kKvPagePositions)]);
    const auto line = static_cast<std::size_t>(at.position % kKvPagePositions);
    for (std::size_t head = 0; head < kv_heads; ++head) {
      const Wanted key = want_head(step, row, heads + head, &step.key_weight);
      const Wanted value =
          want_head(step, row, heads + head + (layer.value_is_key ? 0 : kv_heads), nullptr);
      expect_head(take(step, got, page, line, head, false), fp8 ? in_fp8(key, kKeyScale) : key,
                  "key", row, head);
      expect_head(take(step, got, page, line, head, true),
                  fp8 ? in_fp8(value, kFp8ValueScale) : value, "value", row, head);
    }
  }
  for (const unsigned char byte : got.kv) BOOST_REQUIRE(byte == kUntouchedByte);
}

}  // namespace

BOOST_AUTO_TEST_CASE(heads_are_normed_turned_and_stored_in_their_pages) {
  for (const Layer& layer :
       {kSliding, kFull, Layer{16, 8, 256, 128, true}, Layer{4, 2, 512, 256, false},
        Layer{4, 2, 16, 8, false}, Layer{4, 2, 24, 12, false}, Layer{4, 2, 40, 5, true},
        Layer{6, 3, 128, 32, false}, Layer{8, 1, 64, 0, true}, Layer{2, 1, 510, 255, false}}) {
    for (const KvFormat format : {KvFormat::kBf16, KvFormat::kFp8}) {
      const Step step(layer, format);
      expect_all(step, run(step));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_its_neighbours) {
  for (const Layer& layer : {kSliding, kFull}) {
    const Step step(layer);
    const Result together = run(step);
    BOOST_TEST(same_bits(together.query, run(step).query));
    BOOST_TEST((together.kv == run(step).kv));
    const Result alone = run(step, 6, 1, 1);
    const auto width = static_cast<std::ptrdiff_t>(layer.heads) * layer.head_dim;
    BOOST_TEST(std::equal(alone.query.begin() + 6 * width, alone.query.begin() + 7 * width,
                          together.query.begin() + 6 * width,
                          [](auto a, auto b) { return bits(a) == bits(b); }));
  }
}

// From some number of rows on a warp takes several heads.
BOOST_AUTO_TEST_CASE(many_rows_give_the_bits_of_few) {
  for (const auto& [layer, format] :
       {std::pair(kSliding, KvFormat::kBf16), std::pair(kFull, KvFormat::kBf16),
        std::pair(Layer{4, 2, 40, 5, true}, KvFormat::kBf16), std::pair(kSliding, KvFormat::kFp8),
        std::pair(kFull, KvFormat::kFp8), std::pair(Layer{4, 2, 40, 5, true}, KvFormat::kFp8)}) {
    Step step(layer, format);
    const Result few = run(step);
    const std::size_t values = step.projected.size();
    const std::size_t rows = step.rows.size();
    for (int copy = 1; copy < 40; ++copy) {  // the same rows again, where they were
      for (std::size_t i = 0; i < values; ++i) step.projected.push_back(step.projected[i]);
      for (std::size_t i = 0; i < rows; ++i) step.rows.push_back(step.rows[i]);
    }
    const Result many = run(step);
    BOOST_TEST((few.kv == many.kv));
    const std::vector<__nv_bfloat16> last(
        many.query.end() - static_cast<std::ptrdiff_t>(few.query.size()), many.query.end());
    BOOST_TEST(same_bits(few.query, last));
  }
}

// Blocks of sixteen rows write whole pages at once, wherever these begin among the rows.
BOOST_AUTO_TEST_CASE(pages_that_a_step_fills_have_the_values_of_rows_by_themselves) {
  for (const Layer& layer : {kSliding, kFull}) {
    for (const KvFormat format : {KvFormat::kBf16, KvFormat::kFp8}) {
      const Step any(layer, format);
      for (const Step& step :
           {any.filling({{0, 320}}), any.filling({{0, 100}, {5, 60}, {4096, 16}, {99999, 130}}),
            any.filling({{3, 17}, {0, 15}, {31, 250}})}) {
        const Result many = run(step);
        const Result few = run(step, 0, step.rows.size(), 100);
        BOOST_TEST((many.kv == few.kv));
        BOOST_TEST(same_bits(many.query, few.query));
        expect_all(step, many);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_nan_is_not_hidden) {
  Step step(kSliding);
  step.projected[0] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
  const Result got = run(step);
  for (std::size_t i = 0; i < 256; ++i) BOOST_REQUIRE(std::isnan(wide(got.query[i])));
  BOOST_TEST(!std::isnan(wide(got.query[256])));
}

BOOST_AUTO_TEST_CASE(the_scale_of_fp8_keys_is_the_greatest_that_loses_none) {
  for (const int dim : {16, 256, 512}) {
    for (const float weight : {0.02F, 0.12F, 1.0F, 3.7F, 500.0F}) {
      const float most = 1.03F * weight * std::sqrt(static_cast<float>(dim));
      const float scale = fp8_scale(weight, dim);
      BOOST_TEST(scale * most <= 448.0F);
      BOOST_TEST(2 * scale * most > 448.0F);
      BOOST_TEST(std::exp2(std::round(std::log2(scale))) == scale);
    }
    BOOST_TEST(kFp8ValueScale * 1.01F * std::sqrt(static_cast<float>(dim)) <= 448.0F);
  }
  BOOST_TEST(fp8_scale(0.0F, 256) == 1.0F);
}

// 0x7f is NaN.
BOOST_AUTO_TEST_CASE(a_nan_stays_one_in_fp8) {
  Step step(kSliding, KvFormat::kFp8);
  step.projected[(16 + 3) * 256] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
  Result got = run(step);
  for (const double value : take(step, got, 5, 0, 3, false)) BOOST_REQUIRE(std::isnan(value));
  for (const double value : take(step, got, 5, 0, 2, false)) BOOST_REQUIRE(!std::isnan(value));
}

BOOST_AUTO_TEST_CASE(bad_shapes_are_refused) {
  RotateAndStore work;
  BOOST_TEST(rotate_and_store(work, 1, nullptr) == cudaErrorInvalidValue);
}
