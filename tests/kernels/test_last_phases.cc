#define BOOST_TEST_MODULE last_phases
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/attention.h"
#include "model/kernels/many_rows.h"
#include "model/kernels/norm.h"
#include "model/kernels/norm_behind.h"
#include "model/kernels/norm_packing.h"
#include "model/kernels/packed_gate_up.h"
#include "model/kernels/rotary.h"
#include "model/kernels/rotation_behind.h"
#include "model/kernels/row_packing.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr int kRowCounts[] = {1,  5,   7,   8,   9,   15,  16,  17,  32,  33,  64,  90,
                              96, 100, 104, 112, 127, 128, 129, 160, 192, 193, 255, 256};

// Packed rows of `width` on the device.
struct PackedCase {
  DeviceArray<char> values;
  DeviceArray<float> scales;

  PackedCase(int rows, int width)
      : values(static_cast<std::size_t>(rows) * ((static_cast<std::size_t>(width) + 15) / 16 * 16)),
        scales(static_cast<std::size_t>(rows)) {}
  PackedRows rows() const { return {values.data(), scales.data()}; }
};

void expect_same(const PackedCase& got, const PackedCase& want, const std::string& what) {
  BOOST_TEST((got.values.download() == want.values.download()), what << ": values");
  const auto a = got.scales.download(), b = want.scales.download();
  BOOST_TEST(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0, what << ": scales");
}

// What stands in memory behind a product and its norms.
struct Normed {
  std::vector<__nv_bfloat16> hidden, y;
};

// A product with its norms, by itself or as two kernels.
struct NormedCase {
  MatrixCase w;
  RowsCase x;
  std::vector<__nv_bfloat16> hidden;
  DeviceArray<__nv_bfloat16> post, pre, scalar;
  std::string name;

  NormedCase(MatrixFormat format, int out, int in)
      : w(format, out, in, 11),
        x(format, kManyRowsMax, in),
        hidden(random_bf16(elements(kManyRowsMax, out), 2, 5.0F)),
        post(random_bf16(static_cast<std::size_t>(out), 3, 20.0F)),
        pre(random_bf16(static_cast<std::size_t>(out), 4, 0.5F, 1.0F)),
        scalar(std::vector<__nv_bfloat16>{__float2bfloat16(0.7F)}),
        name(w.name()) {}

  bool runs(int rows) const {
    bool result = false;
    require(norms_behind(w.matrix, x.many(rows), result));
    return result;
  }
  // `arrivals` null: two kernels. `packed` null: y in bf16, where the product wrote.
  Normed run(int rows, bool scaled, const PackedCase* packed, unsigned* arrivals) const {
    const DeviceArray<__nv_bfloat16> y(elements(rows, w.matrix.out));
    const DeviceArray<__nv_bfloat16> h(std::vector<__nv_bfloat16>(
        hidden.begin(), hidden.begin() + static_cast<std::ptrdiff_t>(rows) * w.matrix.out));
    const ResidualNorm norm{.sublayer = y.data(),
                            .post_weight = post.data(),
                            .scalar = scaled ? scalar.data() : nullptr,
                            .pre_weight = pre.data(),
                            .hidden = h.data(),
                            .y = packed == nullptr ? y.data() : nullptr,
                            .width = w.matrix.out,
                            .eps = 1e-6F};
    if (arrivals != nullptr) {
      require(linear_normed_many(w.matrix, x.many(rows),
                                 {.norm = norm,
                                  .packed = packed == nullptr ? PackedRows{} : packed->rows(),
                                  .arrivals = arrivals},
                                 nullptr));
    } else {
      require(linear_many(w.matrix, x.many(rows), y.data(), nullptr));
      require(packed == nullptr ? residual_norm(norm, rows, nullptr)
                                : pack_residual_norm(norm, packed->rows(), rows, nullptr));
    }
    return {.hidden = h.download(), .y = y.download()};
  }
};

void check_normed(const NormedCase& work, int rows, bool scaled, unsigned* arrivals) {
  const std::string what =
      work.name + ", " + std::to_string(rows) + (scaled ? " rows, scaled" : " rows");
  BOOST_TEST_REQUIRE(work.runs(rows), what << " do not find room");
  const Normed want = work.run(rows, scaled, nullptr, nullptr);
  const Normed got = work.run(rows, scaled, nullptr, arrivals);
  BOOST_TEST(same_bits(got.hidden, want.hidden), what << ": hidden");
  BOOST_TEST(same_bits(got.y, want.y), what << ": y");
  const PackedCase packed(rows, work.w.matrix.out), alone(rows, work.w.matrix.out);
  const Normed hidden = work.run(rows, scaled, &alone, nullptr);
  const Normed together = work.run(rows, scaled, &packed, arrivals);
  BOOST_TEST(same_bits(together.hidden, hidden.hidden), what << ", packed: hidden");
  expect_same(packed, alone, what);
}

}  // namespace

// One counter for all: rounds of other members follow each other.
BOOST_AUTO_TEST_CASE(norms_behind_a_product_have_the_bits_of_their_kernels) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  for (const MatrixFormat format : kFormats)
    for (const auto& [out, in] : std::vector<std::pair<int, int>>{
             {8, 64}, {136, 1000}, {520, 96}, {1000, 3872}, {2560, 320}, {3840, 264}}) {
      const NormedCase work(format, out, width_in(format, in));
      for (const int rows : kRowCounts) check_normed(work, rows, rows % 2 == 0, arrivals.data());
    }
}

BOOST_AUTO_TEST_CASE(norms_of_the_12b_have_the_bits_of_their_kernels_in_every_run) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  for (const MatrixFormat format : kFormats)
    for (const int in : {4096, 8192, 15360}) {
      const NormedCase work(format, 3840, in);
      for (const int rows : {8, 16, 32, 64, 100, 128, 192, 256})
        check_normed(work, rows, true, arrivals.data());
      for (const int rows : {8, 16, 100, 256}) {
        const Normed want = work.run(rows, true, nullptr, nullptr);
        for (int turn = 0; turn < 50; ++turn) {
          const Normed got = work.run(rows, true, nullptr, arrivals.data());
          BOOST_TEST_REQUIRE(same_bits(got.y, want.y), work.name << ", turn " << turn);
          BOOST_TEST_REQUIRE(same_bits(got.hidden, want.hidden), work.name << ", turn " << turn);
        }
      }
    }
}

BOOST_AUTO_TEST_CASE(what_is_not_a_number_stays_in_its_row) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  constexpr std::size_t kBad = 2;
  for (const MatrixFormat format : kFormats) {
    NormedCase work(format, 136, 992);
    work.hidden[kBad * 136 + 5] = __float2bfloat16(std::numeric_limits<float>::quiet_NaN());
    for (const int rows : {5, 8, 16, 100, 192, 256}) {
      const Normed got = work.run(rows, true, nullptr, arrivals.data());
      for (std::size_t i = 0; i < got.y.size(); ++i) {
        const bool bad = i / 136 == kBad;
        BOOST_TEST_REQUIRE(std::isnan(wide(got.y[i])) == bad);
        // The rest of its residual row is what it was: the product knows nothing of it.
        BOOST_TEST_REQUIRE(std::isnan(wide(got.hidden[i])) == (i == kBad * 136 + 5));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(packing_behind_gate_and_up_has_the_bytes_of_its_kernel) {
  const DeviceArray<unsigned> arrivals(kPackingArrivalBytes / sizeof(unsigned));
  for (const auto& [inner, in] :
       std::vector<std::pair<int, int>>{{4224, 224}, {7616, 96}, {8512, 480}, {15360, 3840}}) {
    const MatrixCase w(MatrixFormat::kFp8, 2 * inner, in, 5);
    const RowsCase x(MatrixFormat::kFp8, kManyRowsMax, in);
    for (const int rows : kRowCounts) {
      bool runs = false;
      require(packs_behind(w.matrix, x.many(rows), runs));
      const bool wanted = inner / 64 > kBlocks / 2 && inner / 64 <= 2 * kBlocks;
      BOOST_TEST_REQUIRE(runs == wanted, w.name() << ", " << rows << " rows");
      if (!runs) continue;
      const DeviceArray<__nv_bfloat16> h(elements(rows, inner));
      const PackedCase want(rows, inner), got(rows, inner);
      require(gate_up_many(w.matrix, x.many(rows), h.data(), nullptr));
      require(pack_rows(h.data(), inner, rows, want.rows(), nullptr));
      // Twice: the sizes of a launch are gone in the next.
      for (int turn = 0; turn < 2; ++turn)
        require(gate_up_packed_many(w.matrix, x.many(rows), got.rows(), arrivals.data(), nullptr));
      expect_same(got, want, w.name() + ", " + std::to_string(rows) + " rows");
    }
  }
}

struct PackedAttention {
  HeadShape shape;
  KvFormat kv;
  int more;  // rows than the nine of all lengths
};

std::vector<PackedAttention> packed_attentions() {
  std::vector<PackedAttention> all;
  for (const HeadShape shape : {HeadShape{16, 8, 256}, HeadShape{16, 1, 512}, HeadShape{4, 1, 256}})
    for (const KvFormat kv : {KvFormat::kBf16, KvFormat::kFp8})
      for (const int more : {0, 90, 247}) all.push_back({shape, kv, more});
  return all;
}

// Rows of one split, of several that one block joins, of more; padding leaves its row alone.
BOOST_AUTO_TEST_CASE(attention_that_packs_its_rows_has_the_bytes_of_two_kernels) {
  for (const auto& [shape, kv, more] : packed_attentions()) {
    std::vector<SequenceRows> sequences;
    for (const int length : {1, 16, 17, 64, 129, 300, 1023, 1041, 4097})
      sequences.push_back({.first_position = length - 1, .count = 1});
    for (int i = 0; i < more; ++i) sequences.push_back({.first_position = 700 + i * 7, .count = 1});
    AttentionCase step(shape, shape.kv_heads == 8 ? 1024 : 0, sequences, false, kv);
    const int rows = step.rows(), width = shape.heads * shape.head_dim;
    std::vector<int> order;
    for (int row = rows; row-- > 0;) order.push_back(row == 4 ? -1 : row);
    const auto plain = step.decode(order);
    const DeviceArray<int> list(order);
    const DeviceArray<unsigned char> workspace(
        decode_workspace_bytes(shape.heads, shape.head_dim, rows, step.keys_max()));
    const PackedCase got(rows, width), want(rows, width);
    const DeviceArray<__nv_bfloat16> out(elements(rows, width)), all(plain);
    Attention work = step.work();
    work.out = out.data();
    require(attend_decode(work,
                          {.list = list.data(),
                           .count = rows,
                           .keys_max = step.keys_max(),
                           .workspace = workspace.data(),
                           .packed = got.rows()},
                          nullptr));
    for (int row = 0; row < rows; ++row) {
      if (row == 4) continue;
      require(pack_rows(all.data() + elements(row, width), width, 1,
                        {want.values.data() + elements(row, width), want.scales.data() + row},
                        nullptr));
    }
    expect_same(got, want,
                "attention of " + std::to_string(width) + ", " + std::to_string(rows) + " rows");
  }
}

// Queries and all pages, of projections with a window (keys and values apart) and without (one).
BOOST_AUTO_TEST_CASE(rope_behind_the_projections_has_the_bits_of_its_kernel) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  for (const MatrixFormat format : kFormats)
    for (const KvFormat kv : {KvFormat::kBf16, KvFormat::kFp8})
      for (const HeadShape shape : {HeadShape{16, 8, 256}, HeadShape{16, 1, 512}}) {
        const bool one = shape.kv_heads == 1;
        const int dim = shape.head_dim;
        const int out = (shape.heads + (one ? 1 : 2) * shape.kv_heads) * dim;
        const MatrixCase w(format, out, 160, 9);
        const RowsCase x(format, kManyRowsMax, 160);
        std::vector<float> turns;
        for (int i = 0; i < dim / 4; ++i)
          turns.push_back(
              std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(dim)));
        const DeviceArray<float> frequency(turns);
        const DeviceArray<__nv_bfloat16> query_weight(
            random_bf16(static_cast<std::size_t>(dim), 3, 0.5F, 1.0F));
        const DeviceArray<__nv_bfloat16> key_weight(
            random_bf16(static_cast<std::size_t>(dim), 4, 0.5F, 1.0F));
        for (const int rows : {5, 7, 8, 9, 15, 16, 20, 90, 100, 128, 129, 192, 200, 256}) {
          std::vector<SequenceRows> sequences;
          for (int row = 0; row < rows; ++row)
            sequences.push_back({.first_position = 5 + row * 2, .count = 1});
          AttentionCase step(shape, one ? 0 : 1024, sequences, false, kv);
          const DeviceArray<__nv_bfloat16> projected(elements(rows, out));
          const DeviceArray<__nv_bfloat16> query(elements(rows, shape.heads * dim));
          const RotateAndStore rotate{.projected = projected.data(),
                                      .query_weight = query_weight.data(),
                                      .key_weight = key_weight.data(),
                                      .inverse_frequency = frequency.data(),
                                      .query = query.data(),
                                      .kv = step.work().kv,
                                      .rows = step.work().rows,
                                      .pages = step.work().pages,
                                      .heads = shape.heads,
                                      .rotary_pairs = dim / 4,
                                      .value_is_key = one,
                                      .eps = 1e-6F};
          const std::string what = w.name() + ", " + std::to_string(rows) + " rows";
          bool runs = false;
          require(rotates_behind(w.matrix, x.many(rows), runs));
          BOOST_TEST_REQUIRE(runs, what << " do not find room");
          require(linear_many(w.matrix, x.many(rows), projected.data(), nullptr));
          require(rotate_and_store(rotate, rows, nullptr));
          const auto want = query.download();
          const auto want_pages = step.pages();
          step.restore_pages();
          require(cudaMemset(query.data(), 0, query.size() * sizeof(__nv_bfloat16)));
          require(cudaMemset(projected.data(), 0, projected.size() * sizeof(__nv_bfloat16)));
          require(linear_rotated_many(w.matrix, x.many(rows),
                                      {.rotate = rotate, .arrivals = arrivals.data()}, nullptr));
          BOOST_TEST(same_bits(query.download(), want), what << ": queries");
          BOOST_TEST((step.pages() == want_pages), what << ": pages");
          step.restore_pages();
          BOOST_TEST((step.pages() != want_pages), what << ": nothing was stored");
        }
      }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_computed_is_refused) {
  const NormedCase work(MatrixFormat::kBf16, 64, 64);
  const DeviceArray<__nv_bfloat16> y(elements(20, 64));
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  NormBehind behind{.norm = {.sublayer = y.data(),
                             .post_weight = work.post.data(),
                             .pre_weight = work.pre.data(),
                             .hidden = y.data(),
                             .y = y.data(),
                             .width = 56,
                             .eps = 1e-6F},
                    .packed = {},
                    .arrivals = arrivals.data()};
  const auto status = [&] {
    return linear_normed_many(work.w.matrix, work.x.many(20), behind, nullptr);
  };
  BOOST_TEST(status() == cudaErrorInvalidValue);  // the width
  behind.norm.width = 64;
  behind.arrivals = nullptr;
  BOOST_TEST(status() == cudaErrorInvalidValue);
  behind.arrivals = arrivals.data();
  behind.norm.y = nullptr;
  BOOST_TEST(status() == cudaErrorInvalidValue);  // neither bf16 nor packed
  const MatrixCase wide(MatrixFormat::kBf16, 4104, 64);
  bool runs = true;
  require(norms_behind(wide.matrix, work.x.many(20), runs));
  BOOST_TEST(!runs);
}

BOOST_AUTO_TEST_CASE(packing_behind_gate_and_up_refuses_what_it_cannot_pack) {
  const DeviceArray<unsigned> arrivals(kPackingArrivalBytes / sizeof(unsigned));
  const int inner = 15360;
  const MatrixCase w(MatrixFormat::kFp8, 2 * inner, 64, 5), plain(MatrixFormat::kBf16, 256, 64, 5);
  const RowsCase x(MatrixFormat::kFp8, 20, 64), in_bf16(MatrixFormat::kBf16, 20, 64);
  const PackedCase h(20, inner);
  const auto status = [&](const MatrixCase& matrix, const RowsCase& rows, const PackedRows& to,
                          unsigned* words) {
    return gate_up_packed_many(matrix.matrix, rows.many(20), to, words, nullptr);
  };
  BOOST_TEST(status(w, x, h.rows(), arrivals.data()) == cudaSuccess);
  BOOST_TEST(status(w, x, h.rows(), nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(status(w, x, {h.values.data(), nullptr}, arrivals.data()) == cudaErrorInvalidValue);
  BOOST_TEST(status(plain, in_bf16, h.rows(), arrivals.data()) == cudaErrorInvalidValue);
  bool runs = true;
  require(packs_behind(plain.matrix, in_bf16.many(20), runs));
  BOOST_TEST(!runs);
}

BOOST_AUTO_TEST_CASE(attention_refuses_to_pack_what_it_cannot) {
  const HeadShape shape = {16, 8, 256};
  AttentionCase step(shape, 1024, {{.first_position = 40, .count = 1}}, false, KvFormat::kFp8);
  const DeviceArray<unsigned char> workspace(
      decode_workspace_bytes(shape.heads, shape.head_dim, 1, step.keys_max()));
  const DeviceArray<__nv_bfloat16> out(elements(1, shape.heads * shape.head_dim));
  const PackedCase packed(1, shape.heads * shape.head_dim);
  Attention work = step.work();
  work.out = out.data();
  DecodeRows rows{.list = nullptr,
                  .count = 1,
                  .keys_max = step.keys_max(),
                  .workspace = workspace.data(),
                  .packed = packed.rows()};
  BOOST_TEST(attend_decode(work, rows, nullptr) == cudaSuccess);
  rows.packed.scales = nullptr;
  BOOST_TEST(attend_decode(work, rows, nullptr) == cudaErrorInvalidValue);
  rows.packed = packed.rows();
  work.heads = 8;  // one for each KV head, in rows of 2,048
  BOOST_TEST(attend_decode(work, rows, nullptr) == cudaSuccess);
  work.heads = 40;  // 10,240
  BOOST_TEST(attend_decode(work, rows, nullptr) == cudaErrorInvalidValue);
}

BOOST_AUTO_TEST_CASE(rope_behind_refuses_other_shapes) {
  const DeviceArray<unsigned> arrivals(kSplitArrivalBytes / sizeof(unsigned));
  const HeadShape shape = {16, 8, 256};
  AttentionCase step(shape, 1024, {{.first_position = 40, .count = 1}}, false, KvFormat::kBf16);
  const MatrixCase w(MatrixFormat::kBf16, 32 * 256, 64, 9), narrow(MatrixFormat::kBf16, 256, 64, 9);
  const RowsCase x(MatrixFormat::kBf16, 1, 64);
  const DeviceArray<__nv_bfloat16> projected(elements(1, 32 * 256)), query(elements(1, 16 * 256)),
      weight(random_bf16(256, 3, 0.5F, 1.0F));
  const DeviceArray<float> frequency(std::vector<float>(64, 0.5F));
  RotationBehind behind{.rotate = {.projected = projected.data(),
                                   .query_weight = weight.data(),
                                   .key_weight = weight.data(),
                                   .inverse_frequency = frequency.data(),
                                   .query = query.data(),
                                   .kv = step.work().kv,
                                   .rows = step.work().rows,
                                   .pages = step.work().pages,
                                   .heads = 16,
                                   .rotary_pairs = 64,
                                   .value_is_key = false,
                                   .eps = 1e-6F},
                        .arrivals = arrivals.data()};
  const auto status = [&](const MatrixCase& matrix) {
    return linear_rotated_many(matrix.matrix, x.many(1), behind, nullptr);
  };
  BOOST_TEST(status(w) == cudaSuccess);
  BOOST_TEST(status(narrow) == cudaErrorInvalidValue);
  behind.arrivals = nullptr;
  BOOST_TEST(status(w) == cudaErrorInvalidValue);
  behind.arrivals = arrivals.data();
  behind.rotate.query = projected.data();
  BOOST_TEST(status(w) == cudaErrorInvalidValue);
}
