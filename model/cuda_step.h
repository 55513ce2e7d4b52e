#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/cuda_memory.h"
#include "model/engine.h"
#include "model/kv_page.h"
#include "model/model_config.h"
#include "model/step.h"
#include "model/visibility.h"

struct CUstream_st;

namespace captiond {

namespace kernels {
struct AttentionTile;
struct KvPageCopy;
struct KvRow;
}  // namespace kernels

// What the kernels have to know of a Step beside the media themselves: written into pinned memory,
// sent to the GPU in one copy. The device arrays of steps of few rows stay where they are, so that
// a captured graph finds the next step in them, and stand close together, so that little has to be
// sent; those of other steps stand where the widest has room. Engine thread only.
class CudaStep {
 public:
  // Slices of fewer rows go to the decode kernel, row by row, others to the prefill kernel.
  static constexpr std::size_t kTileRowsLeast = 8;

  struct Setting {
    VisionMask vision_mask = VisionMask::kFullBidirectional;
    std::size_t rows_max = 0;   // of a step
    std::size_t rows_few = 0;   // of a captured one, at most
    std::size_t pages_max = 0;  // of one sequence, in a group
  };

  // `text` is the checkpoint's and outlives the object.
  CudaStep(const TextConfig& text, const Setting& setting);
  CudaStep(const CudaStep&) = delete;
  CudaStep& operator=(const CudaStep&) = delete;

  // Writes `step` with padding up to `rows` rows (>= step.rows()) into pinned memory. Of what was
  // sent before, all but the last has arrived. Throws std::runtime_error for a step with more rows
  // or pages than there is room for.
  void write(const Step& step, std::size_t rows);
  // Enqueues the copy of what was written.
  void send(CUstream_st* stream) const;

  // Device; valid for the step written last, once it is sent.
  // [rows], -1: media or padding, -2 - i: what output i of the step in front chose
  const std::int32_t* ids() const;
  const kernels::KvRow* kv_rows(KvGroup group) const;  // [rows]
  const std::int32_t* pages() const;                   // of both groups
  const std::int32_t* outputs() const;                 // rows of Step::outputs, in output_order()
  const std::int32_t* decode_rows() const;      // rows of slices below kTileRowsLeast, and padding
  const kernels::AttentionTile* tiles() const;  // of the other slices
  const kernels::KvPageCopy* copies(KvGroup group) const;

  // Of the step written last: indices of Step::outputs, those first that ask for the head.
  std::span<const std::size_t> output_order() const { return output_order_; }
  int decode_row_count() const { return decode_row_count_; }
  int tile_count() const { return tile_count_; }
  int copy_count(KvGroup group) const { return copy_count_[static_cast<std::size_t>(group)]; }
  int keys_max(KvGroup group) const { return keys_max_[static_cast<std::size_t>(group)]; }

  std::size_t rows_max() const { return setting_.rows_max; }
  std::size_t device_bytes() const { return device_.bytes(); }

 private:
  // Bytes from the beginning of both blocks.
  struct Layout {
    std::size_t rows = 0;  // that there is room for, and as many outputs and copies
    std::size_t ids = 0;
    std::array<std::size_t, kKvGroupCount> kv_rows = {};
    std::array<std::size_t, kKvGroupCount> copies = {};
    std::size_t outputs = 0;
    std::size_t decode_rows = 0;
    std::size_t tiles = 0;
    std::size_t pages = 0;  // last: as long as the step needs
    std::size_t bytes = 0;
  };

  static Layout layout_of(std::size_t rows, std::size_t pages);
  const Layout& layout() const { return few_ ? few_layout_ : layout_; }
  template <typename T>
  T* host(std::size_t offset) const {
    return reinterpret_cast<T*>(pinned_[turn_].data() + offset);
  }

  void write_copies(const Step& step);
  void write_ids(const Step& step, std::size_t rows);
  void write_kv_rows(const Step& step, std::size_t rows, KvGroup group);
  std::int32_t write_table(const StepSlice& slice, KvGroup group, std::size_t first_key);
  void write_kernel_rows(const Step& step, std::size_t rows);
  void write_outputs(const Step& step);

  const Setting setting_;
  const std::array<Visibility, kKvGroupCount> visibility_;
  const std::size_t pages_room_;  // of pages()
  const Layout layout_;
  const Layout few_layout_;
  bool few_ = true;                     // the step written last has few rows
  std::array<PinnedMemory, 2> pinned_;  // in turn: the one written before may be on its way
  std::size_t turn_ = 0;
  DeviceMemory device_;
  std::vector<std::size_t> output_order_;
  std::size_t pages_used_ = 0;
  int decode_row_count_ = 0;
  int tile_count_ = 0;
  std::array<int, kKvGroupCount> copy_count_ = {};
  std::array<int, kKvGroupCount> keys_max_ = {};
};

}  // namespace captiond
