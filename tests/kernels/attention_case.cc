#include "tests/kernels/attention_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include <boost/test/unit_test.hpp>
#include <cuda_fp8.h>

namespace captiond::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// Scores of random queries and keys are of about this size: a softmax that neither is flat nor
// picks one key.
constexpr float kScore = 3.0F;

constexpr double kFp8Sum = 1.0 / 8192;

bool sees(const SequenceRows& sequence, int window, bool clamped, int query, int key) {
  const bool block = key >= sequence.block_first && key < sequence.block_end &&
                     query >= sequence.block_first && query < sequence.block_end;
  const bool near = window == 0 || query - key < window;
  return (key <= query && near) || (block && (near || !clamped));
}

KvRow row_of(const SequenceRows& sequence, int window, bool clamped, int position) {
  const int end = sequence.first_position + sequence.count;
  KvRow row{.position = position, .page_begin = 0, .first_key = end, .end_key = 0};
  int seen = 0;
  for (int key = 0; key < end; ++key) {
    if (!sees(sequence, window, clamped, position, key)) continue;
    row.first_key = std::min(row.first_key, key);
    row.end_key = key + 1;
    ++seen;
  }
  BOOST_REQUIRE_EQUAL(seen, row.end_key - row.first_key);  // one run
  return row;
}

}  // namespace

AttentionCase::AttentionCase(HeadShape shape, int window,
                             const std::vector<SequenceRows>& sequences, bool clamped,
                             KvFormat format)
    : shape_(shape), sequences_(sequences) {
  std::vector<int> needed;  // entries of host_pages_ that stand for a page
  for (const SequenceRows& sequence : sequences) {
    int first = std::numeric_limits<int>::max();
    const int end = sequence.first_position + sequence.count;
    const std::size_t begin = host_rows_.size();
    for (int position = sequence.first_position; position < end; ++position) {
      host_rows_.push_back(row_of(sequence, window, clamped, position));
      first = std::min(first, host_rows_.back().first_key);
    }
    const int early = first / kKvPagePositions;  // pages that are gone, and not in the array
    for (std::size_t i = begin; i < host_rows_.size(); ++i) {
      host_rows_[i].page_begin = static_cast<int>(host_pages_.size()) - early;
    }
    for (int page = early; page * kKvPagePositions < end; ++page) {
      needed.push_back(static_cast<int>(host_pages_.size()));
      host_pages_.push_back(0);
    }
  }
  const std::size_t spare = 3;  // pages that are nobody's
  std::vector<int> ids(needed.size() + spare);
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), std::mt19937(7));
  for (std::size_t i = 0; i < needed.size(); ++i) {
    host_pages_[static_cast<std::size_t>(needed[i])] = ids[i];
  }

  work_.heads = shape.heads;
  work_.kv = {
      .base = nullptr, .kv_heads = shape.kv_heads, .head_dim = shape.head_dim, .format = format};
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  const std::size_t values = host_rows_.size() * static_cast<std::size_t>(shape.heads) * dim;
  const float deviation = std::sqrt(kScore / std::sqrt(static_cast<float>(shape.head_dim)));
  host_query_ = random_bf16(values, 11, deviation);
  fill_pages(ids.size(), deviation);
  rows_ = DeviceArray<KvRow>(host_rows_);
  pages_ = DeviceArray<int>(host_pages_);
  query_ = DeviceArray<__nv_bfloat16>(host_query_);
  kv_ = DeviceArray<unsigned char>(page_bytes());
  out_ = DeviceArray<__nv_bfloat16>(values);
  work_.query = query_.data();
  work_.out = out_.data();
  work_.kv.base = kv_.data();
  work_.rows = rows_.data();
  work_.pages = pages_.data();
}

void AttentionCase::fill_pages(std::size_t pages, float deviation) {
  const auto dim = static_cast<std::size_t>(shape_.head_dim);
  host_kv_.assign(pages * work_.kv.page_values(), __float2bfloat16(kNan));
  const std::vector<__nv_bfloat16> random = random_bf16(65536 + dim, 13, deviation);
  float most = 0.0F;
  for (const __nv_bfloat16 value : random) most = std::max(most, std::abs(__bfloat162float(value)));
  for (const __nv_bfloat16 value : host_query_) {
    most = std::max(most, std::abs(__bfloat162float(value)));
  }
  work_.kv.key_scale = std::exp2(std::floor(std::log2(448.0F / most)));
  work_.kv.query_scale = work_.kv.key_scale / 2;  // another one
  std::mt19937 generator(17);
  for (std::size_t i = 0; i < host_rows_.size(); ++i) {
    const KvRow& row = host_rows_[i];
    for (int key = row.first_key; key < row.end_key; ++key) {
      for (int head = 0; head < 2 * shape_.kv_heads; ++head) {
        __nv_bfloat16* to = host_kv_.data() + slot(static_cast<int>(i), key, head / 2, head % 2);
        if (!std::isnan(__bfloat162float(*to))) continue;  // another row's too
        std::copy_n(random.begin() + static_cast<std::ptrdiff_t>(generator() % 65536), dim, to);
      }
    }
  }
  if (work_.kv.format == KvFormat::kBf16) return;
  for (std::size_t i = 0; i < host_kv_.size(); ++i) {
    const bool is_value = i % work_.kv.page_values() >= work_.kv.page_values() / 2;
    const float scale = is_value ? kFp8ValueScale : work_.kv.key_scale;
    const __nv_fp8_e4m3 stored(__bfloat162float(host_kv_[i]) * scale);
    host_kv_[i] = __float2bfloat16(static_cast<float>(stored) / scale);  // exactly
  }
}

// host_kv_ as the pages hold it.
std::vector<unsigned char> AttentionCase::page_bytes() const {
  if (work_.kv.format == KvFormat::kBf16) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(host_kv_.data());
    return {bytes, bytes + host_kv_.size() * sizeof(host_kv_[0])};
  }
  const std::size_t pages = host_kv_.size() / work_.kv.page_values();
  std::vector<unsigned char> bytes(pages * work_.kv.page_bytes(), 0x7f);  // NaN
  const __nv_bfloat16* from = host_kv_.data();
  for (std::size_t page = 0; page < pages; ++page) {
    for (int half = 0; half < 2; ++half) {
      const float scale = half == 1 ? kFp8ValueScale : work_.kv.key_scale;
      for (int head = 0; head < shape_.kv_heads; ++head) {
        unsigned char* to = bytes.data() + page * work_.kv.page_bytes() +
                            static_cast<std::size_t>(head * 2 + half) * work_.kv.fp8_half_bytes();
        for (int line = 0; line < kKvPagePositions; ++line) {
          for (int dim = 0; dim < shape_.head_dim; ++dim) {
            const __nv_fp8_e4m3 stored(__bfloat162float(*from++) * scale);
            to[half == 1 ? fp8_value_offset(line, dim)
                         : fp8_key_offset(line, dim, shape_.head_dim)] = stored.__x;
          }
        }
      }
    }
  }
  return bytes;
}

int AttentionCase::keys_max() const {
  int most = 0;
  for (const KvRow& row : host_rows_) most = std::max(most, row.end_key - row.first_key);
  return most;
}

std::vector<AttentionTile> AttentionCase::tiles(int most) const {
  std::vector<AttentionTile> tiles;
  int row = 0;
  for (const SequenceRows& sequence : sequences_) {
    for (int i = 0; i < sequence.count; i += most) {
      tiles.push_back({.first_row = row + i, .count = std::min(most, sequence.count - i)});
    }
    row += sequence.count;
  }
  return tiles;
}

std::vector<__nv_bfloat16> AttentionCase::run(const std::function<void()>& launch) {
  out_.upload(std::vector<__nv_bfloat16>(out_.size(), __float2bfloat16(kNan)));
  launch();
  return out_.download();
}

std::vector<__nv_bfloat16> AttentionCase::plain() {
  return run([&] { require(attend_plain(work_, rows(), nullptr)); });
}

std::size_t AttentionCase::workspace_bytes(int rows) const {
  return decode_workspace_bytes(shape_.heads, shape_.head_dim, rows, keys_max());
}

std::vector<__nv_bfloat16> AttentionCase::decode(const std::vector<int>& list) {
  const DeviceArray<unsigned char> workspace(workspace_bytes(static_cast<int>(list.size())));
  return decode(list, workspace.data());
}

std::vector<__nv_bfloat16> AttentionCase::decode(const std::vector<int>& list,
                                                 unsigned char* workspace) {
  const DeviceArray<int> device_list(list);
  const auto count = static_cast<int>(list.size());
  return run([&] {
    require(attend_decode(work_,
                          {.list = device_list.data(),
                           .count = count,
                           .keys_max = keys_max(),
                           .workspace = workspace},
                          nullptr));
  });
}

std::vector<__nv_bfloat16> AttentionCase::prefill(const std::vector<AttentionTile>& tiles) {
  const DeviceArray<AttentionTile> device_tiles(tiles);
  return run([&] {
    require(attend_prefill(
        work_, {.tiles = device_tiles.data(), .count = static_cast<int>(tiles.size())}, nullptr));
  });
}

std::size_t AttentionCase::slot(int row, int position, int head, int value) const {
  const KvRow& at = host_rows_[static_cast<std::size_t>(row)];
  const auto page = static_cast<std::size_t>(
      host_pages_[static_cast<std::size_t>(at.page_begin + position / kKvPagePositions)]);
  const int line =
      (value * shape_.kv_heads + head) * kKvPagePositions + position % kKvPagePositions;
  return page * work_.kv.page_values() + static_cast<std::size_t>(line * shape_.head_dim);
}

void AttentionCase::spoil_query(int row) {
  const std::size_t width = static_cast<std::size_t>(shape_.heads * shape_.head_dim);
  for (std::size_t i = 0; i < width; i += static_cast<std::size_t>(shape_.head_dim)) {
    host_query_[static_cast<std::size_t>(row) * width + i] = __float2bfloat16(kNan);
  }
  query_.upload(host_query_);
}

void AttentionCase::spoil_value(int row, int position) {
  for (int head = 0; head < shape_.kv_heads; ++head) {
    std::fill_n(host_kv_.begin() + static_cast<std::ptrdiff_t>(slot(row, position, head, 1)),
                shape_.head_dim, __float2bfloat16(kNan));
  }
  restore_pages();
}

void AttentionCase::expect(const std::vector<__nv_bfloat16>& out, const char* what,
                           int samples) const {
  const int step = samples == 0 ? 1 : std::max(1, rows() / samples);
  std::vector<int> chosen;
  for (int row = 0; row < rows(); row += step) chosen.push_back(row);
  if (chosen.back() != rows() - 1) chosen.push_back(rows() - 1);
  for (const int row : chosen) {
    // All heads of few rows, else the first, the last and one that moves.
    for (int head = 0; head < shape_.heads; ++head) {
      const bool wanted =
          chosen.size() <= 4 || head == 0 || head == shape_.heads - 1 || head == row % shape_.heads;
      if (wanted) expect_head(out, what, row, head);
    }
  }
}

void AttentionCase::expect_head(const std::vector<__nv_bfloat16>& out, const char* what, int row,
                                int head) const {
  const KvRow& seen = host_rows_[static_cast<std::size_t>(row)];
  const auto dim = static_cast<std::size_t>(shape_.head_dim);
  const int kv_head = head / (shape_.heads / shape_.kv_heads);
  const std::size_t at = static_cast<std::size_t>(row * shape_.heads + head) * dim;
  std::vector<double> weights;
  double products = 0;  // the most that Σ |q k| is
  for (int key = seen.first_key; key < seen.end_key; ++key) {
    const __nv_bfloat16* k = host_kv_.data() + slot(row, key, kv_head, 0);
    double score = 0;
    double sizes = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double product = wide(host_query_[at + i]) * wide(k[i]);
      score += product;
      sizes += std::abs(product);
    }
    products = std::max(products, sizes);
    weights.push_back(score);
  }
  const double most = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - most);
  std::vector<double> want(dim);
  std::vector<double> sizes(dim);    // Σ p |v|
  std::vector<double> squares(dim);  // Σ p² v²
  std::vector<double> values(dim);   // Σ |v|
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const double p = weights[k] / total;
    const __nv_bfloat16* v =
        host_kv_.data() + slot(row, seen.first_key + static_cast<int>(k), kv_head, 1);
    for (std::size_t i = 0; i < dim; ++i) {
      const double part = p * wide(v[i]);
      want[i] += part;
      sizes[i] += std::abs(part);
      squares[i] += part * part;
      values[i] += std::abs(wide(v[i]));
    }
  }
  for (std::size_t i = 0; i < dim; ++i) {
    // Each weight is rounded to bf16 once: never more than half an ulp of every part, and as the
    // roundings are independent, practically never more than 8 of their standard deviations (an ulp
    // / sqrt(12), at most). Then the result is rounded; 2e-5 is for the float32 sums and exponents.
    const double weighing =
        std::min(kHalfUlp * sizes[i], 8 * 2 * kHalfUlp / std::sqrt(12.0) * std::sqrt(squares[i]));
    double limit = weighing + kHalfUlp * std::abs(want[i]) + 2e-5;
    if (work_.kv.format == KvFormat::kFp8) {
      // The tensor cores keep some 14 bits of a sum of e4m3 products (measured by others; here it
      // is taken twice as coarse), in the scores and in the sums; and the weights end at 2^-18.
      limit += sizes[i] * (2 * kFp8Sum * products + kFp8Sum) + std::exp2(-18) * values[i] / total;
    }
    const double error = std::abs(wide(out[at + i]) - want[i]);
    if (!(error <= limit)) {
      BOOST_ERROR(what << ": row " << row << " (position " << seen.position << ", sees "
                       << seen.first_key << " to " << seen.end_key << "), head " << head << ", dim "
                       << i << ": got " << wide(out[at + i]) << ", want " << want[i] << ", limit "
                       << limit);
      return;  // one of a head is enough to read
    }
  }
}

}  // namespace captiond::kernels
