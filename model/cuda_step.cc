#include "model/cuda_step.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <variant>

#include <cuda_runtime_api.h>

#include "model/check.h"
#include "model/kernels/attention.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/kv_copy.h"
#include "model/kernels/kv_layer.h"
#include "model/kernels/mapped_copy.h"

namespace captiond {
namespace {

constexpr std::size_t kAlignment = 256;
// Pages of all rows of a step together: 128 million positions, far beyond what a step can attend to
// in reasonable time.
constexpr std::size_t kPagesRoomMax = std::size_t{8} << 20;

std::size_t index_of(KvGroup group) { return static_cast<std::size_t>(group); }

int int_of(std::size_t n) { return static_cast<int>(n); }

}  // namespace

CudaStep::Layout CudaStep::layout_of(std::size_t rows, std::size_t pages) {
  Layout layout{.rows = rows};
  const auto take = [&](std::size_t bytes) {
    const std::size_t offset = layout.bytes;
    layout.bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  };
  layout.ids = take(rows * sizeof(std::int32_t));
  for (const KvGroup group : kKvGroups) {
    layout.kv_rows[index_of(group)] = take(rows * sizeof(kernels::KvRow));
    layout.copies[index_of(group)] = take(rows * sizeof(kernels::KvPageCopy));
  }
  layout.outputs = take(rows * sizeof(std::int32_t));
  layout.decode_rows = take(rows * sizeof(std::int32_t));
  layout.tiles = take(rows * sizeof(kernels::AttentionTile));
  layout.pages = take(pages * sizeof(std::int32_t));
  return layout;
}

CudaStep::CudaStep(const TextConfig& text, const Setting& setting)
    : setting_(setting),
      visibility_{Visibility(text, setting.vision_mask, KvGroup::kSliding),
                  Visibility(text, setting.vision_mask, KvGroup::kFull)},
      pages_room_(std::min(kKvGroupCount * setting.rows_max * setting.pages_max, kPagesRoomMax)),
      layout_(layout_of(setting.rows_max, pages_room_)),
      few_layout_(layout_of(setting.rows_few, pages_room_)),
      pinned_{PinnedMemory(layout_.bytes, "the tables of a step"),
              PinnedMemory(layout_.bytes, "the tables of a step")},
      device_(layout_.bytes, "the tables of a step") {
  output_order_.reserve(setting.rows_max);
}

const std::int32_t* CudaStep::ids() const {
  return reinterpret_cast<const std::int32_t*>(device_.data() + layout().ids);
}
const kernels::KvRow* CudaStep::kv_rows(KvGroup group) const {
  return reinterpret_cast<const kernels::KvRow*>(device_.data() +
                                                 layout().kv_rows[index_of(group)]);
}
const std::int32_t* CudaStep::pages() const {
  return reinterpret_cast<const std::int32_t*>(device_.data() + layout().pages);
}
const std::int32_t* CudaStep::outputs() const {
  return reinterpret_cast<const std::int32_t*>(device_.data() + layout().outputs);
}
const std::int32_t* CudaStep::decode_rows() const {
  return reinterpret_cast<const std::int32_t*>(device_.data() + layout().decode_rows);
}
const kernels::AttentionTile* CudaStep::tiles() const {
  return reinterpret_cast<const kernels::AttentionTile*>(device_.data() + layout().tiles);
}
const kernels::KvPageCopy* CudaStep::copies(KvGroup group) const {
  return reinterpret_cast<const kernels::KvPageCopy*>(device_.data() +
                                                      layout().copies[index_of(group)]);
}

void CudaStep::write(const Step& step, std::size_t rows) {
  if (rows > setting_.rows_max) {
    throw std::runtime_error("A step of " + std::to_string(rows) +
                             " rows does not fit the GPU's buffers, which are for " +
                             std::to_string(setting_.rows_max) +
                             "; use smaller pictures or raise step_rows_max.");
  }
  check(step.rows() <= rows, "padding only adds rows");
  check(step.outputs.size() <= rows, "an output is a row's");
  turn_ = 1 - turn_;
  few_ = rows <= setting_.rows_few;
  pages_used_ = 0;
  write_copies(step);
  write_ids(step, rows);
  for (const KvGroup group : kKvGroups) write_kv_rows(step, rows, group);
  write_kernel_rows(step, rows);
  write_outputs(step);
}

void CudaStep::send(CUstream_st* stream) const {
  std::size_t bytes = layout().pages + pages_used_ * sizeof(std::int32_t);
  if (!few_) {
    kernels::check_cuda(cudaMemcpyAsync(device_.data(), pinned_[turn_].data(), bytes,
                                        cudaMemcpyHostToDevice, stream),
                        "Sending a step's tables");
    return;
  }
  bytes =
      (bytes + kernels::kMappedCopyUnit - 1) / kernels::kMappedCopyUnit * kernels::kMappedCopyUnit;
  kernels::check_cuda(
      kernels::fetch_from_host(device_.data(), pinned_[turn_].data(), bytes, stream),
      "The launch of fetch_from_host");
}

void CudaStep::write_copies(const Step& step) {
  copy_count_ = {};
  for (const PageCopy& copy : step.copies) {
    const std::size_t group = index_of(copy.group);
    const int place = copy_count_[group]++;
    // A slice calls for one copy a group at most: all pages behind its first one are new.
    check(int_of(layout().rows) > place, "a step has no more page copies than rows");
    host<kernels::KvPageCopy>(layout().copies[group])[place] = {.from = copy.from, .to = copy.to};
  }
}

void CudaStep::write_ids(const Step& step, std::size_t rows) {
  auto* ids = host<std::int32_t>(layout().ids);
  std::int32_t* const end = ids + rows;
  for (const StepSlice& slice : step.slices) {
    if (const auto* of = std::get_if<IdRows>(&slice.rows)) {
      ids = std::copy(of->ids.begin(), of->ids.end(), ids);
    } else if (const auto* chosen = std::get_if<ChosenRow>(&slice.rows)) {
      *ids++ = -2 - int_of(chosen->output);
    } else {
      ids = std::fill_n(ids, slice.count, -1);
    }
  }
  std::fill(ids, end, -1);
}

// Copies the pages of the slice from that of `first_key` on. Returns where page 0 would stand.
std::int32_t CudaStep::write_table(const StepSlice& slice, KvGroup group, std::size_t first_key) {
  const std::span<const PageId> pages = slice.pages[index_of(group)];
  const std::size_t first = first_key / kPagePositions;
  const std::size_t end =
      (slice.first_position + slice.count + kPagePositions - 1) / kPagePositions;
  check(end <= pages.size(), "a position that is needed has its KV page");
  if (pages_used_ + (end - first) > pages_room_) {
    throw std::runtime_error("The rows of one step see more than " +
                             std::to_string(pages_room_ * kPagePositions) +
                             " positions together; lower step_rows_max.");
  }
  const auto used = pages.subspan(first, end - first);
  check(std::find(used.begin(), used.end(), kNoPage) == used.end(),
        "a position that is needed has its KV page");
  std::copy(used.begin(), used.end(), host<std::int32_t>(layout().pages) + pages_used_);
  const std::int32_t begin = int_of(pages_used_) - int_of(first);
  pages_used_ += end - first;
  return begin;
}

void CudaStep::write_kv_rows(const Step& step, std::size_t rows, KvGroup group) {
  auto* row = host<kernels::KvRow>(layout().kv_rows[index_of(group)]);
  kernels::KvRow* const end = row + rows;
  std::size_t keys_max = 1;
  const Visibility& visibility = visibility_[index_of(group)];
  for (const StepSlice& slice : step.slices) {
    if (slice.pages[index_of(group)].empty()) {  // the model has no layers of this group
      row = std::fill_n(row, slice.count, kernels::KvRow{});
      continue;
    }
    const std::int32_t begin = write_table(slice, group, visibility.first_key(slice));
    for (std::size_t i = 0; i < slice.count; ++i) {
      const std::size_t position = slice.first_position + i;
      const Visibility::KeyRun run = visibility.visible_run(slice, position);
      keys_max = std::max(keys_max, run.end - run.first);
      *row++ = {.position = int_of(position),
                .page_begin = begin,
                .first_key = int_of(run.first),
                .end_key = int_of(run.end)};
    }
  }
  std::fill(row, end, kernels::KvRow{});
  keys_max_[index_of(group)] = int_of(keys_max);
}

void CudaStep::write_kernel_rows(const Step& step, std::size_t rows) {
  auto* const decode_rows = host<std::int32_t>(layout().decode_rows);
  auto* const tiles = host<kernels::AttentionTile>(layout().tiles);
  decode_row_count_ = 0;
  tile_count_ = 0;
  std::size_t row = 0;
  for (const StepSlice& slice : step.slices) {
    if (slice.count < kTileRowsLeast) {
      for (std::size_t i = 0; i < slice.count; ++i) {
        decode_rows[decode_row_count_++] = int_of(row + i);
      }
    } else {
      constexpr std::size_t kTile = kernels::kAttentionTileRows;
      for (std::size_t i = 0; i < slice.count; i += kTile) {
        tiles[tile_count_++] = {.first_row = int_of(row + i),
                                .count = int_of(std::min(kTile, slice.count - i))};
      }
    }
    row += slice.count;
  }
  for (; row < rows; ++row) decode_rows[decode_row_count_++] = int_of(row);
}

void CudaStep::write_outputs(const Step& step) {
  output_order_.resize(step.outputs.size());
  std::iota(output_order_.begin(), output_order_.end(), std::size_t{0});
  std::stable_partition(output_order_.begin(), output_order_.end(), [&](std::size_t index) {
    return step.outputs[index].output != RowOutput::kHidden;
  });
  std::transform(output_order_.begin(), output_order_.end(), host<std::int32_t>(layout().outputs),
                 [&](std::size_t index) { return int_of(step.outputs[index].row); });
}

}  // namespace captiond
