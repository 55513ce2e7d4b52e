#define BOOST_TEST_MODULE attention
#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/kernels/attention.h"
#include "tests/kernels/attention_case.h"
#include "tests/support/needs_gpu.h"

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);

using namespace captiond::kernels;

namespace {

constexpr HeadShape kSliding = {.heads = 16, .kv_heads = 8, .head_dim = 256};
constexpr HeadShape kFull = {.heads = 16, .kv_heads = 1, .head_dim = 512};
constexpr int kWindow = 1024;

std::vector<int> all_rows(const AttentionCase& step) {
  std::vector<int> rows(static_cast<std::size_t>(step.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// One row each, of sequences of these lengths.
std::vector<SequenceRows> last_rows(const std::vector<int>& lengths) {
  std::vector<SequenceRows> sequences;
  for (const int length : lengths) sequences.push_back({.first_position = length - 1, .count = 1});
  return sequences;
}

const std::vector<int> kLengths = {1,   2,   15,   16,   17,   31,   32,   33,   63,   64,  65,
                                   129, 500, 1022, 1023, 1024, 1025, 1039, 1040, 1041, 5000};

constexpr KvFormat kFormats[] = {KvFormat::kBf16, KvFormat::kFp8};
constexpr std::pair<HeadShape, KvFormat> kKinds[] = {{kSliding, KvFormat::kBf16},
                                                     {kFull, KvFormat::kBf16},
                                                     {kSliding, KvFormat::kFp8},
                                                     {kFull, KvFormat::kFp8}};

void expect_decode(HeadShape shape, int window, const std::vector<int>& lengths) {
  BOOST_REQUIRE(decode_attention_supports(shape.heads, shape.kv_heads, shape.head_dim));
  for (const KvFormat format : kFormats) {
    AttentionCase step(shape, window, last_rows(lengths), false, format);
    const auto out = step.decode(all_rows(step));
    step.expect(out, format == KvFormat::kFp8 ? "fp8 decode" : "decode", 0);
    step.expect(step.plain(), "plain", 4);
    BOOST_TEST(same_bits(out, step.decode(all_rows(step))));
  }
}

void expect_prefill(HeadShape shape, int window, const std::vector<SequenceRows>& sequences,
                    bool clamped = false) {
  BOOST_REQUIRE(prefill_attention_supports(shape.heads, shape.kv_heads, shape.head_dim));
  for (const KvFormat format : kFormats) {
    AttentionCase step(shape, window, sequences, clamped, format);
    const auto out = step.prefill(step.tiles(kAttentionTileRows));
    step.expect(out, format == KvFormat::kFp8 ? "fp8 prefill" : "prefill", 40);
    BOOST_TEST(same_bits(out, step.prefill(step.tiles(kAttentionTileRows))));
    step.expect(step.plain(), "plain", 4);
  }
}

// What a row gets when only it is computed, everything else staying NaN.
std::vector<__nv_bfloat16> row_of(const std::vector<__nv_bfloat16>& out, HeadShape shape, int row) {
  const auto width = static_cast<std::ptrdiff_t>(shape.heads) * shape.head_dim;
  return {out.begin() + row * width, out.begin() + (row + 1) * width};
}

// That the first rows of a step by themselves, `counts` of them, have the bits that they have in
// it.
void expect_meetings(const std::vector<int>& lengths, const std::vector<int>& counts) {
  for (const auto& [shape, format] : kKinds) {
    AttentionCase step(shape, 0, last_rows(lengths), false, format);
    const auto whole = step.decode(all_rows(step));
    step.expect(whole, "decode", 0);
    for (const int count : counts) {
      std::vector<int> list(static_cast<std::size_t>(count));
      std::iota(list.begin(), list.end(), 0);
      for (int turn = 0; turn < 2; ++turn) {
        const auto few = step.decode(list);
        for (const int row : list)
          BOOST_TEST(same_bits(row_of(few, shape, row), row_of(whole, shape, row)),
                     count << " rows, row " << row);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(decode_with_a_window_at_the_edges_of_pages_tiles_and_window) {
  expect_decode(kSliding, kWindow, kLengths);
}

BOOST_AUTO_TEST_CASE(decode_of_all_positions_with_one_kv_head) {
  std::vector<int> lengths = kLengths;
  // Where the length of a split changes.
  lengths.insert(lengths.end(), {4095, 4096, 4097, 8192, 8193});
  expect_decode(kFull, 0, lengths);
}

BOOST_AUTO_TEST_CASE(decode_of_other_shares_of_heads) {
  for (const HeadShape shape :
       {HeadShape{4, 4, 256}, HeadShape{12, 4, 256}, HeadShape{16, 2, 256}, HeadShape{16, 1, 256},
        HeadShape{4, 4, 512}, HeadShape{6, 2, 512}, HeadShape{32, 2, 512}}) {
    expect_decode(shape, 100, {1, 47, 100, 101, 777});
    expect_decode(shape, 0, {1, 64, 300});
  }
}

BOOST_AUTO_TEST_CASE(decode_leaves_unlisted_rows_alone_and_zeroes_padding) {
  for (const auto& [shape, format] : kKinds) {
    AttentionCase step(shape, 0, last_rows({70, 200, 300}), false, format);
    const auto some = step.decode({2, -1, 0});
    BOOST_TEST(std::isnan(wide(row_of(some, shape, 1).front())));
    const auto all = step.decode(all_rows(step));
    BOOST_TEST(same_bits(row_of(some, shape, 0), row_of(all, shape, 0)));
    BOOST_TEST(same_bits(row_of(some, shape, 2), row_of(all, shape, 2)));

    const DeviceArray<KvRow> padding(std::vector<KvRow>(1));
    const DeviceArray<__nv_bfloat16> out(
        random_bf16(static_cast<std::size_t>(shape.heads * shape.head_dim), 1, 1.0F));
    Attention work = step.work();
    work.rows = padding.data();
    work.out = out.data();
    const DeviceArray<unsigned char> workspace(
        decode_workspace_bytes(shape.heads, shape.head_dim, 1, 300));
    require(attend_decode(
        work, {.list = nullptr, .count = 1, .keys_max = 300, .workspace = workspace.data()},
        nullptr));
    for (const __nv_bfloat16 value : out.download()) BOOST_REQUIRE_EQUAL(wide(value), 0.0);
  }
}

BOOST_AUTO_TEST_CASE(decode_of_a_row_does_not_depend_on_its_neighbours) {
  for (const KvFormat format : kFormats) {
    for (const HeadShape shape : {kSliding, kFull}) {
      const int window = shape.kv_heads == 8 ? kWindow : 0;
      AttentionCase step(shape, window, last_rows(kLengths), false, format);
      const auto together = step.decode(all_rows(step));
      for (int row = 0; row < step.rows(); row += 3) {
        BOOST_TEST(same_bits(row_of(step.decode({row}), shape, row), row_of(together, shape, row)));
      }
    }
  }
}

// Of few rows the blocks put the splits together themselves, of more a kernel does.
BOOST_AUTO_TEST_CASE(blocks_that_meet_give_the_bits_of_a_kernel) {
  expect_meetings({5000, 1, 1024, 129, 64,   2048, 3000, 17,   4097, 700,
                   1041, 4, 1500, 65,  2500, 4999, 33,   1025, 257,  90},
                  {1, 2, 4, 5, 8, 16});
}

// Few enough keys for a tool that looks at each access.
BOOST_AUTO_TEST_CASE(blocks_of_short_rows_meet) { expect_meetings({300, 1, 200, 129, 65}, {1, 4}); }

// Words that one kind of launch leaves are met by the others.
BOOST_AUTO_TEST_CASE(one_workspace_serves_launches_of_all_kinds_in_turn) {
  const std::vector<int> lengths = {3000, 1,  1024, 129, 2048, 700, 1041, 4, 1500, 65,
                                    2500, 33, 257,  90,  640,  17,  2047, 8, 999,  1030};
  std::deque<AttentionCase> steps;
  std::vector<std::vector<__nv_bfloat16>> whole;
  std::size_t bytes = 0;
  for (const auto& [shape, format] : kKinds) {
    AttentionCase& step = steps.emplace_back(shape, shape.kv_heads == 8 ? kWindow : 0,
                                             last_rows(lengths), false, format);
    whole.push_back(step.decode(all_rows(step)));
    bytes = std::max(bytes, step.workspace_bytes(step.rows()));
  }
  const DeviceArray<unsigned char> workspace(bytes);
  for (int turn = 0; turn < 3; ++turn)
    for (const int count : {1, 20, 4, 16, 2, 8, 5})
      for (std::size_t kind = 0; kind < steps.size(); ++kind) {
        const HeadShape shape = kKinds[kind].first;
        std::vector<int> list(static_cast<std::size_t>(count));
        std::iota(list.begin(), list.end(), 0);
        const auto got = steps[kind].decode(list, workspace.data());
        for (const int row : list)
          BOOST_TEST(same_bits(row_of(got, shape, row), row_of(whole[kind], shape, row)),
                     "kind " << kind << ", " << count << " rows, row " << row);
      }
}

// More rows than one launch over fp8 pages takes, listed and not.
BOOST_AUTO_TEST_CASE(decode_of_hundreds_of_rows) {
  std::vector<int> lengths;
  for (int i = 0; i < 300; ++i) lengths.push_back(1 + i * 37 % 211);
  for (const KvFormat format : kFormats) {
    for (const HeadShape shape : {kSliding, kFull}) {
      AttentionCase step(shape, 0, last_rows(lengths), false, format);
      const auto out = step.decode(all_rows(step));
      step.expect(out, "decode", 50);
      Attention work = step.work();
      const DeviceArray<__nv_bfloat16> unlisted(out.size());
      work.out = unlisted.data();
      const DeviceArray<unsigned char> workspace(
          decode_workspace_bytes(shape.heads, shape.head_dim, step.rows(), step.keys_max()));
      require(attend_decode(work,
                            {.list = nullptr,
                             .count = step.rows(),
                             .keys_max = step.keys_max(),
                             .workspace = workspace.data()},
                            nullptr));
      BOOST_TEST(same_bits(unlisted.download(), out));
    }
  }
}

BOOST_AUTO_TEST_CASE(prefill_with_a_window) {
  expect_prefill(kSliding, kWindow, {{0, 1}});
  expect_prefill(kSliding, kWindow, {{0, 31}, {0, 32}, {0, 33}, {5, 63}, {64, 64}, {100, 65}});
  expect_prefill(kSliding, kWindow, {{0, 1023}, {3, 1024}, {0, 1025}});
  expect_prefill(kSliding, kWindow, {{1000, 150}, {5000, 129}, {5000, 1}});
  expect_prefill(kSliding, kWindow, {{0, 5000}});
  expect_prefill(kSliding, 24, {{0, 200}, {31, 60}});
}

BOOST_AUTO_TEST_CASE(prefill_of_all_positions_with_one_kv_head) {
  expect_prefill(kFull, 0, {{0, 1}});
  expect_prefill(kFull, 0, {{0, 3}, {0, 4}, {0, 5}, {0, 31}, {0, 33}, {63, 65}, {64, 64}});
  expect_prefill(kFull, 0, {{0, 1025}, {4990, 70}});
  expect_prefill(kFull, 0, {{0, 2000}});
}

BOOST_AUTO_TEST_CASE(prefill_of_other_shares_of_heads) {
  for (const HeadShape shape : {HeadShape{4, 4, 256}, HeadShape{8, 2, 256}, HeadShape{16, 1, 256},
                                HeadShape{4, 4, 512}, HeadShape{8, 4, 512}, HeadShape{8, 1, 512}}) {
    expect_prefill(shape, 50, {{0, 130}, {300, 7}});
    expect_prefill(shape, 0, {{77, 80}});
  }
}

BOOST_AUTO_TEST_CASE(pictures_see_themselves_both_ways) {
  const std::vector<SequenceRows> pictures = {
      {.first_position = 10, .count = 266, .block_first = 10, .block_end = 276},
      {.first_position = 1500, .count = 70, .block_first = 1500, .block_end = 1570},
      {.first_position = 276, .count = 40, .block_first = 0, .block_end = 0}};
  expect_prefill(kSliding, kWindow, pictures);
  expect_prefill(kFull, 0, pictures);
  // A picture longer than the window: seen whole, or within the window only.
  const std::vector<SequenceRows> large = {
      {.first_position = 30, .count = 300, .block_first = 30, .block_end = 330}};
  expect_prefill(kSliding, 128, large);
  expect_prefill(kSliding, 128, large, true);
}

BOOST_AUTO_TEST_CASE(prefill_of_a_row_does_not_depend_on_its_neighbours) {
  for (const auto& [shape, format] : kKinds) {
    AttentionCase step(shape, shape.kv_heads == 8 ? 200 : 0, {{37, 300}, {0, 5}}, false, format);
    const auto together = step.prefill(step.tiles(kAttentionTileRows));
    BOOST_TEST(same_bits(step.prefill(step.tiles(7)), together));
    for (const int row : {0, 63, 64, 299, 304}) {
      const auto alone =
          step.prefill({{.first_row = row, .count = 1}, {.first_row = 0, .count = 0}});
      BOOST_TEST(same_bits(row_of(alone, shape, row), row_of(together, shape, row)));
      BOOST_TEST(std::isnan(wide(row_of(alone, shape, (row + 1) % step.rows()).front())));
    }
  }
}

BOOST_AUTO_TEST_CASE(small_heads_go_the_plain_way) {
  for (const HeadShape shape : {HeadShape{4, 2, 16}, HeadShape{4, 1, 24}, HeadShape{6, 3, 40},
                                HeadShape{8, 1, 128}, HeadShape{3, 3, 2}, HeadShape{2, 1, 510}}) {
    for (const int window : {0, 8, 200}) {
      for (const KvFormat format : kFormats) {
        AttentionCase step(
            shape, window,
            {{0, 33},
             {500, 1},
             {.first_position = 20, .count = 30, .block_first = 20, .block_end = 50}},
            false, format);
        const auto out = step.plain();
        step.expect(out, "plain", 0);
        BOOST_TEST(same_bits(out, step.plain()));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_nan_is_not_hidden) {
  for (const auto& [shape, format] : kKinds) {
    AttentionCase query(shape, 0, {{100, 3}}, false, format);
    query.spoil_query(1);
    AttentionCase value(shape, 0, {{100, 1}, {100, 2}}, false, format);
    value.spoil_value(1, 50);
    for (AttentionCase* step : {&query, &value}) {
      for (const auto& out : {step->plain(), step->decode(all_rows(*step)),
                              step->prefill(step->tiles(kAttentionTileRows))}) {
        for (const __nv_bfloat16 got : row_of(out, shape, 1)) {
          BOOST_REQUIRE(std::isnan(wide(got)));
        }
        for (const __nv_bfloat16 got : row_of(out, shape, 0)) {
          BOOST_REQUIRE(!std::isnan(wide(got)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_captured_decode_follows_the_rows_in_device_memory) {
  for (const auto& [shape, format] : kKinds) {
    AttentionCase step(shape, shape.kv_heads == 8 ? kWindow : 0, {{1500, 3}}, false, format);
    const auto want = step.decode(all_rows(step));
    const DeviceArray<int> list(std::vector<int>{0});
    const DeviceArray<unsigned char> workspace(
        decode_workspace_bytes(shape.heads, shape.head_dim, 1, 4096));
    cudaStream_t stream = nullptr;
    require(cudaStreamCreate(&stream));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t captured = nullptr;
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    require(attend_decode(
        step.work(),
        {.list = list.data(), .count = 1, .keys_max = 4096, .workspace = workspace.data()},
        stream));
    require(cudaStreamEndCapture(stream, &graph));
    require(cudaGraphInstantiate(&captured, graph, 0));
    for (int row = 0; row < 3; ++row) {
      require(cudaMemcpy(list.data(), &row, sizeof(row), cudaMemcpyHostToDevice));
      require(cudaGraphLaunch(captured, stream));
      require(cudaStreamSynchronize(stream));
      std::vector<__nv_bfloat16> out(want.size());
      require(cudaMemcpy(out.data(), step.work().out, out.size() * sizeof(out[0]),
                         cudaMemcpyDeviceToHost));
      BOOST_TEST(same_bits(row_of(out, shape, row), row_of(want, shape, row)));
    }
    cudaGraphExecDestroy(captured);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  }
}

BOOST_AUTO_TEST_CASE(bad_shapes_are_refused) {
  AttentionCase step({4, 2, 40}, 0, {{0, 3}});
  Attention work = step.work();
  BOOST_TEST(attend_plain(work, 0, nullptr) == cudaErrorInvalidValue);
  const DeviceArray<AttentionTile> tiles(std::vector<AttentionTile>(1));
  BOOST_TEST(attend_prefill(work, {.tiles = tiles.data(), .count = 1}, nullptr) ==
             cudaErrorInvalidValue);
  const DeviceArray<unsigned char> workspace(1 << 20);
  const DecodeRows rows = {
      .list = nullptr, .count = 1, .keys_max = 3, .workspace = workspace.data()};
  BOOST_TEST(attend_decode(work, rows, nullptr) == cudaErrorInvalidValue);
  work.heads = 3;
  BOOST_TEST(attend_plain(work, 3, nullptr) == cudaErrorInvalidValue);
  BOOST_TEST(!prefill_attention_supports(24, 1, 256));
  BOOST_TEST(!prefill_attention_supports(12, 4, 256));
  BOOST_TEST(!decode_attention_supports(32, 1, 512));
}
