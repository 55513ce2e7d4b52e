#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include <cuda_bf16.h>

#include "model/kernels/attention.h"
#include "tests/kernels/device_array.h"

namespace captiond::kernels {

struct HeadShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
};

// Rows of one sequence in a step. Between block_first and block_end rows see each other both ways.
struct SequenceRows {
  int first_position = 0;
  int count = 1;
  int block_first = 0;
  int block_end = 0;
};

// A step's rows with random queries, keys and values. Everything that no row may see is NaN: other
// positions of a page, other pages, and the pages of positions that a window has passed are gone.
// The order of the pages is scrambled.
class AttentionCase {
 public:
  // Row q of a sequence sees key k when q - window < k <= q (no window: 0), or when both lie in its
  // block; with `clamped` the window holds inside of a block as well. In fp8 pages keys and values
  // are numbers that fp8 has.
  AttentionCase(HeadShape shape, int window, const std::vector<SequenceRows>& sequences,
                bool clamped = false, KvFormat format = KvFormat::kBf16);

  const Attention& work() const { return work_; }
  int rows() const { return static_cast<int>(host_rows_.size()); }
  int keys_max() const;

  // Tiles of at most `most` rows each.
  std::vector<AttentionTile> tiles(int most) const;

  // The kernels; each returns out [rows, heads, head_dim], NaN where nothing was written.
  std::vector<__nv_bfloat16> plain();
  std::vector<__nv_bfloat16> decode(const std::vector<int>& list);
  // `workspace`: workspace_bytes(list.size()) at least, zeroed before its first use.
  std::vector<__nv_bfloat16> decode(const std::vector<int>& list, unsigned char* workspace);
  std::size_t workspace_bytes(int rows) const;
  std::vector<__nv_bfloat16> prefill(const std::vector<AttentionTile>& tiles);

  // All pages as they are on the device now, and all pages as they were made.
  std::vector<unsigned char> pages() const { return kv_.download(); }
  void restore_pages() { kv_.upload(page_bytes()); }

  // Boost errors for the elements of `out` that are not the float64 result: of about `samples` rows
  // (0: all). `what` names the kernel.
  void expect(const std::vector<__nv_bfloat16>& out, const char* what, int samples) const;

  // A query, or a value that row `row` sees, becomes NaN.
  void spoil_query(int row);
  void spoil_value(int row, int position);

 private:
  void fill_pages(std::size_t pages, float deviation);
  std::vector<unsigned char> page_bytes() const;
  std::size_t slot(int row, int position, int head, int value) const;
  void expect_head(const std::vector<__nv_bfloat16>& out, const char* what, int row,
                   int head) const;
  std::vector<__nv_bfloat16> run(const std::function<void()>& launch);

  const HeadShape shape_;
  std::vector<SequenceRows> sequences_;
  std::vector<KvRow> host_rows_;
  std::vector<int> host_pages_;
  std::vector<__nv_bfloat16> host_query_;
  std::vector<__nv_bfloat16> host_kv_;  // as bf16 pages have them
  DeviceArray<KvRow> rows_;
  DeviceArray<int> pages_;
  DeviceArray<__nv_bfloat16> query_;
  DeviceArray<unsigned char> kv_;
  DeviceArray<__nv_bfloat16> out_;
  Attention work_;
};

}  // namespace captiond::kernels
