#include "model/cuda_forward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/bfloat16.h"
#include "model/check.h"
#include "model/cuda_arrivals.h"
#include "model/cuda_clock.h"
#include "model/cuda_graph.h"
#include "model/cuda_kv_storage.h"
#include "model/cuda_media.h"
#include "model/cuda_memory.h"
#include "model/cuda_merged_norms.h"
#include "model/cuda_outputs.h"
#include "model/cuda_picture_patcher.h"
#include "model/cuda_products.h"
#include "model/cuda_rotation.h"
#include "model/cuda_seam.h"
#include "model/cuda_step.h"
#include "model/cuda_weights.h"
#include "model/decode_ahead.h"
#include "model/kernels/attention.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/embedding.h"
#include "model/kernels/kv_copy.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/norm.h"
#include "model/kernels/rotary.h"
#include "model/vision_patches.h"

namespace captiond {
namespace {

using Value = __nv_bfloat16;

// Rows of a decode step, padded to the next of these, run as a graph.
constexpr std::array<std::size_t, 13> kBuckets = {1,  2,   4,   8,   16,  32, 64,
                                                  96, 104, 112, 128, 192, 256};
// One call of the decode attention serves this many rows; its scratch grows with them.
constexpr std::size_t kDecodeRows = 256;
static_assert(kBuckets.back() <= CudaOutputs::kChoicesMax);
// Up to so many rows one kernel that rotates, stores and attends beats two: 8.2 us instead of 8.9
// for a sliding layer of the 12B and one row at 1K, but 32.9 instead of 27.9 for 8
// (bench_attention, H200).
constexpr std::size_t kFusedRowsMax = 2;
// Rows that a picture alone may have beyond step_rows_max.
constexpr std::size_t kPictureRowsMax = VisionPatches::kPatchesMax;

kernels::MatrixFormat format_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::kBf16:
      return kernels::MatrixFormat::kBf16;
    case WeightFormat::kFp8:
      return kernels::MatrixFormat::kFp8;
    case WeightFormat::kInt8:
      return kernels::MatrixFormat::kInt8;
    case WeightFormat::kInt4:
      return kernels::MatrixFormat::kInt4;
  }
  check(false, "a format of weights is one of its enumerators");
  return kernels::MatrixFormat::kBf16;
}

// Activations of one step, reused by every layer.
struct Buffers {
  DeviceMemory hidden;     // [rows, hidden_size], the residual stream
  DeviceMemory normal;     // [rows, hidden_size], what a sublayer reads and writes
  DeviceMemory projected;  // [rows, queries, keys and values]
  DeviceMemory query;      // [rows, heads * head_dim]
  DeviceMemory attended;   // [rows, heads * head_dim]
  DeviceMemory packed;     // `attended` or `active` in e4m3 and scales, where they are packed
  DeviceMemory active;     // [rows, intermediate_size]
  DeviceMemory attention;  // scratch of the decode attention

  std::size_t bytes() const {
    return hidden.bytes() + normal.bytes() + projected.bytes() + query.bytes() + attended.bytes() +
           packed.bytes() + active.bytes() + attention.bytes();
  }
};

class CudaForward final : public Forward, public DecodeAhead {
 public:
  CudaForward(const std::shared_ptr<const Checkpoint>& checkpoint, const ForwardSetting& setting);

  void run(const Step& step, const RowSink& sink) override;
  double device_seconds() const override { return clocks_[0].seconds() + clocks_[1].seconds(); }

  PicturePatcher* picture_patcher() override { return picture_patcher_.get(); }

  DecodeAhead* decode_ahead() override { return this; }
  std::size_t rows_max() const override { return kBuckets.back(); }
  void start(const Step& step) override;
  void finish(const RowSink& sink) override;

  std::string report(const CudaDevice& before) const;

 private:
  // What a pass over the layers may rely on: one or two rows, each the only one of its sequence;
  // slices shorter than a tile; nothing.
  enum class Pass { kSingle, kDecode, kMixed };

  std::vector<kernels::ProductShape> shapes() const;
  Buffers make_buffers() const;
  int keys_max(KvGroup group) const;
  void capture_graphs();
  static Pass pass_of(const Step& step);
  template <typename Body>
  void guarded(const Body& body) const;
  CudaOutputs::Source enqueue(const Step& step, CudaClock& clock);
  void copy_pages();
  void embed_tokens(std::size_t rows);
  void run_layers(std::size_t rows, Pass pass);
  bool merges(std::size_t index, std::size_t rows) const;
  void run_attention(std::size_t index, std::size_t rows, Pass pass);
  void attend(std::size_t index, std::size_t rows, Pass pass, bool rotated);
  bool has_fast_attention(std::size_t index) const;
  bool joins_apart(std::size_t index, std::size_t rows) const;
  bool packs_attended(std::size_t index, std::size_t rows, Pass pass) const;
  kernels::PackedRows packed(int width) const;
  void run_feedforward(std::size_t index, std::size_t rows);

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const ModelConfig& config_;
  const TextConfig& text_;
  const ForwardSetting setting_;
  const std::size_t rows_max_;
  const CudaWeights weights_;
  const CudaKvStorage kv_;
  const CudaProducts products_;
  CudaStep step_;
  CudaMedia media_;
  const std::unique_ptr<CudaPicturePatcher> picture_patcher_;  // null: the model cannot see
  CudaOutputs outputs_;
  // Steps in two parts, in turn; whole steps use the first.
  std::array<CudaClock, 2> clocks_;
  std::array<std::size_t, 2> started_outputs_ = {};
  std::size_t started_ = 0;
  std::size_t finished_ = 0;
  const Buffers buffers_;
  const CudaArrivals arrivals_;
  const CudaRotation rotation_;
  const CudaSeam seam_;
  const CudaMergedNorms merged_;
  std::map<std::pair<Pass, std::size_t>, CudaGraph> graphs_;  // by pass and rows of kBuckets
};

CudaForward::CudaForward(const std::shared_ptr<const Checkpoint>& checkpoint,
                         const ForwardSetting& setting)
    : checkpoint_(checkpoint),
      config_(checkpoint->config()),
      text_(config_.text),
      setting_(setting),
      rows_max_(std::max(setting.step_rows_max + (config_.vision ? kPictureRowsMax : 0),
                         kBuckets.back())),
      weights_(*checkpoint, format_of(setting.weights)),
      kv_(*checkpoint, setting.pages, setting.kv),
      products_(shapes(), rows_max_),
      step_(text_,
            {.vision_mask = setting.vision_mask,
             .rows_max = rows_max_,
             .rows_few = kBuckets.back(),
             .pages_max = std::min(
                 setting.pages,
                 static_cast<std::size_t>(text_.max_position_embeddings) / kPagePositions + 1)}),
      media_(config_, weights_, rows_max_),
      picture_patcher_(config_.vision
                           ? std::make_unique<CudaPicturePatcher>(setting.picture_pixels_max)
                           : nullptr),
      outputs_(*checkpoint, weights_),
      buffers_(make_buffers()),
      rotation_(text_, weights_, kv_, step_, buffers_.projected.as<Value>(),
                buffers_.query.as<Value>()),
      seam_(products_, arrivals_, buffers_.normal.as<Value>(), rows_max_,
            static_cast<std::size_t>(text_.hidden_size)),
      merged_(products_, weights_, static_cast<float>(text_.rms_norm_eps),
              buffers_.normal.as<Value>(), buffers_.hidden.as<Value>()) {
  capture_graphs();
}

std::vector<kernels::ProductShape> CudaForward::shapes() const {
  std::vector<kernels::ProductShape> shapes;
  const auto append = [&](const kernels::Matrix& matrix, bool gate_up) {
    shapes.push_back(
        {.format = matrix.format, .out = matrix.out, .in = matrix.in, .gate_up = gate_up});
  };
  for (const CudaWeights::Layer& layer : weights_.layers()) {
    append(layer.query_key_value, false);
    append(layer.attention_out, false);
    append(layer.gate_up, true);
    append(layer.down, false);
  }
  CudaMedia::append_shapes(weights_, shapes);
  return shapes;
}

// The most keys that a row of a decode step may see.
int CudaForward::keys_max(KvGroup group) const {
  std::size_t keys = std::min(setting_.pages * kPagePositions,
                              static_cast<std::size_t>(text_.max_position_embeddings));
  if (group == KvGroup::kSliding) {
    keys = std::min(keys, static_cast<std::size_t>(text_.sliding_window));
  }
  return static_cast<int>(keys);
}

Buffers CudaForward::make_buffers() const {
  std::size_t projected = 0;
  std::size_t attended = 0;
  std::size_t scratch = 0;
  for (std::size_t i = 0; i < weights_.layers().size(); ++i) {
    const CudaWeights::Layer& layer = weights_.layers()[i];
    projected = std::max(projected, static_cast<std::size_t>(layer.query_key_value.out));
    attended = std::max(attended, static_cast<std::size_t>(layer.attention_out.in));
    // A row of a picture, computed again, sees the picture beyond the window.
    const std::size_t keys = static_cast<std::size_t>(keys_max(kv_.group(i))) + kPictureRowsMax;
    scratch = std::max(scratch, kernels::decode_workspace_bytes(
                                    static_cast<int>(text_.heads), kv_.layer(i).head_dim,
                                    static_cast<int>(kDecodeRows), static_cast<int>(keys)));
  }
  const auto rows_of = [&](std::size_t width) {
    // Padding rows are computed as well: what they hold never counts, but must not be a trap.
    return DeviceMemory::zeroed(rows_max_ * width * sizeof(Value), "the activations of a step");
  };
  const auto hidden = static_cast<std::size_t>(text_.hidden_size);
  const auto inner = static_cast<std::size_t>(text_.intermediate_size);
  return Buffers{.hidden = rows_of(hidden),
                 .normal = rows_of(hidden),
                 .projected = rows_of(projected),
                 .query = rows_of(attended),
                 .attended = rows_of(attended),
                 .packed = DeviceMemory(
                     kBuckets.back() * (std::max(attended, inner) + sizeof(float)), "packed rows"),
                 .active = rows_of(inner),
                 .attention = DeviceMemory::zeroed(scratch, "the attention")};
}

void CudaForward::capture_graphs() {
  for (const std::size_t rows : kBuckets) {
    for (const Pass pass : {Pass::kSingle, Pass::kDecode}) {
      if (pass == Pass::kSingle && rows > kFusedRowsMax) continue;
      // Padding alone: it loads every kernel, which a capture cannot, and computes nothing.
      step_.write({}, rows);
      step_.send(products_.stream());
      const auto body = [&] {
        embed_tokens(rows);
        run_layers(rows, pass);
      };
      body();
      products_.synchronize();
      graphs_.try_emplace({pass, rows}, products_.stream(), body);
    }
  }
}

CudaForward::Pass CudaForward::pass_of(const Step& step) {
  if (step.rows() > kBuckets.back()) return Pass::kMixed;
  Pass pass = step.rows() <= kFusedRowsMax ? Pass::kSingle : Pass::kDecode;
  const PageId* before = nullptr;  // slices of one sequence are neighbours and share their table
  for (const StepSlice& slice : step.slices) {
    const bool ids =
        std::holds_alternative<IdRows>(slice.rows) || std::holds_alternative<ChosenRow>(slice.rows);
    if (!ids || slice.count >= CudaStep::kTileRowsLeast) return Pass::kMixed;
    const PageId* pages = slice.pages[static_cast<std::size_t>(KvGroup::kFull)].data();
    if (slice.count > 1 || pages == before) pass = Pass::kDecode;
    before = pages;
  }
  return pass;
}

// Everything of a step up to the last hidden states.
CudaOutputs::Source CudaForward::enqueue(const Step& step, CudaClock& clock) {
  const Pass pass = pass_of(step);
  const bool in_graph = pass != Pass::kMixed && step.rows() > 0;
  const std::size_t rows =
      in_graph ? *std::lower_bound(kBuckets.begin(), kBuckets.end(), step.rows()) : step.rows();
  step_.write(step, rows);
  clock.begin(products_.stream());
  step_.send(products_.stream());
  copy_pages();
  if (in_graph) {
    graphs_.at({pass, rows}).launch(products_.stream());
  } else if (rows > 0) {
    embed_tokens(rows);
    media_.embed(step, buffers_.hidden.as<Value>(), products_);
    run_layers(rows, pass);
  }
  return {.hidden = buffers_.hidden.as<Value>(),
          .output_rows = step_.outputs(),
          .order = step_.output_order()};
}

void CudaForward::run(const Step& step, const RowSink& sink) {
  check(started_ == finished_, "a whole step begins when no other is under way");
  guarded([&] {
    CudaClock& clock = clocks_.front();
    const CudaOutputs::Source source = enqueue(step, clock);
    clock.end(products_.stream());
    outputs_.hand_over(step, source, products_, clock, sink);
    products_.synchronize();
    clock.add();
  });
}

void CudaForward::start(const Step& step) {
  check(started_ - finished_ < 2, "at most one step is begun and not finished");
  guarded([&] {
    const std::size_t turn = started_ % 2;
    const CudaOutputs::Source source = enqueue(step, clocks_.at(turn));
    outputs_.begin_choices(step, source, products_, turn);
    clocks_.at(turn).end(products_.stream());
    started_outputs_.at(turn) = step.outputs.size();
    ++started_;
  });
}

void CudaForward::finish(const RowSink& sink) {
  check(finished_ < started_, "only a step that was begun is finished");
  const std::size_t turn = finished_++ % 2;
  guarded([&] {
    clocks_.at(turn).wait();
    clocks_.at(turn).add();
    outputs_.hand_over_choices(turn, started_outputs_.at(turn), sink);
  });
}

template <typename Body>
void CudaForward::guarded(const Body& body) const {
  try {
    body();
  } catch (const std::exception& error) {
    // Nothing of this step may still be under way when the next one writes the pinned memory.
    cudaStreamSynchronize(products_.stream());
    cudaGetLastError();
    if (cudaDeviceSynchronize() == cudaSuccess) throw;
    // What fails again after it was asked for stays: the context of CUDA is gone.
    throw DeviceLost(std::string("The GPU failed and cannot be used again by this process: ") +
                     error.what());
  }
}

void CudaForward::copy_pages() {
  for (const KvGroup group : kKvGroups) {
    const int count = step_.copy_count(group);
    if (count == 0) continue;
    kernels::check_cuda(kernels::copy_kv_pages(kv_.first_layer(group), kv_.layer_bytes(group),
                                               static_cast<int>(kv_.layers(group)),
                                               step_.copies(group), count, products_.stream()),
                        "The launch of copy_kv_pages");
  }
}

void CudaForward::embed_tokens(std::size_t rows) {
  // Rounded as transformers rounds it: to float32, then to bfloat16 (62.0 for 3840).
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(text_.hidden_size)));
  const kernels::TokenEmbedding embedding{
      .table = weights_.embedding(),
      .ids = step_.ids(),
      .choices = outputs_.choices(),
      .y = buffers_.hidden.as<Value>(),
      .width = static_cast<int>(text_.hidden_size),
      .scale = float_of_bfloat16(bfloat16_of(scale)),
      .soft_tokens = {config_.image_token_id, config_.audio_token_id, config_.video_token_id},
      .pad_token = text_.pad_token_id};
  kernels::check_cuda(kernels::embed_tokens(embedding, static_cast<int>(rows), products_.stream()),
                      "The launch of embed_tokens");
}

void CudaForward::run_layers(std::size_t rows, Pass pass) {
  seam_.norm({.x = buffers_.hidden.as<Value>(),
              .weight = weights_.layers().front().input_norm,
              .width = static_cast<int>(text_.hidden_size),
              .eps = static_cast<float>(text_.rms_norm_eps)},
             weights_.layers().front().query_key_value, false, rows);
  for (std::size_t i = 0; i < weights_.layers().size(); ++i) {
    run_attention(i, rows, pass);
    run_feedforward(i, rows);
  }
}

// Whether the norms on both sides of the feed-forward block of a layer are made by products: not of
// the last one, so that the residual stream ends where it began.
bool CudaForward::merges(std::size_t index, std::size_t rows) const {
  return index + 1 < weights_.layers().size() && merged_.serves(rows);
}

void CudaForward::run_attention(std::size_t index, std::size_t rows, Pass pass) {
  const CudaWeights::Layer& layer = weights_.layers()[index];
  bool rotated = false;
  if (index > 0 && merges(index - 1, rows)) {
    const CudaWeights::Layer& before = weights_.layers()[index - 1];
    merged_.linear_back(
        {.post = before.post_feedforward_norm, .scalar = before.scalar, .pre = layer.input_norm},
        layer.query_key_value, buffers_.projected.as<Value>(), rows);
  } else {
    // Where no kernel joins or packs behind attention, one for rope is the sixth of a layer, and
    // faster.
    rotated = joins_apart(index, rows) &&
              seam_.linear_and_rotate(layer.query_key_value, rotation_.of_layer(index), rows);
    if (!rotated) seam_.linear(layer.query_key_value, buffers_.projected.as<Value>(), rows);
  }
  attend(index, rows, pass, rotated);
  if (merges(index, rows))
    return merged_.in_front(layer.attention_out, buffers_.attended.as<Value>(), rows, true);
  const kernels::ResidualNorm norm{.post_weight = layer.post_attention_norm,
                                   .pre_weight = layer.pre_feedforward_norm,
                                   .hidden = buffers_.hidden.as<Value>(),
                                   .width = static_cast<int>(text_.hidden_size),
                                   .eps = static_cast<float>(text_.rms_norm_eps)};
  if (packs_attended(index, rows, pass))
    return seam_.linear_and_norm(layer.attention_out, packed(layer.attention_out.in), norm,
                                 layer.gate_up, true, rows);
  seam_.linear_and_norm(layer.attention_out, buffers_.attended.as<Value>(), norm, layer.gate_up,
                        true, rows);
}

bool CudaForward::has_fast_attention(std::size_t index) const {
  const kernels::KvLayer layer = kv_.layer(index);
  const auto heads = static_cast<int>(text_.heads);
  return kernels::decode_attention_supports(heads, layer.kv_heads, layer.head_dim) &&
         kernels::prefill_attention_supports(heads, layer.kv_heads, layer.head_dim);
}

// Whether a kernel behind attention joins its splits or packs its rows.
bool CudaForward::joins_apart(std::size_t index, std::size_t rows) const {
  return kv_.layer(index).format == kernels::KvFormat::kFp8 || kv_.group(index) == KvGroup::kFull ||
         CudaProducts::takes_packed(weights_.layers()[index].attention_out, false, rows);
}

// Whether the kernel that joins the splits of attention packs its rows for the product behind it.
bool CudaForward::packs_attended(std::size_t index, std::size_t rows, Pass pass) const {
  const kernels::Matrix& out = weights_.layers()[index].attention_out;
  return pass == Pass::kDecode && has_fast_attention(index) &&
         kernels::decode_attention_packs(out.in) && CudaProducts::takes_packed(out, false, rows);
}

kernels::PackedRows CudaForward::packed(int width) const {
  auto* const bytes = buffers_.packed.as<char>();
  const std::size_t values = kBuckets.back() * static_cast<std::size_t>(width);
  return {.values = bytes, .scales = reinterpret_cast<float*>(bytes + values)};
}

void CudaForward::attend(std::size_t index, std::size_t rows, Pass pass, bool rotated) {
  const KvGroup group = kv_.group(index);
  const kernels::RotateAndStore rotate = rotation_.of_layer(index);
  const cudaStream_t stream = products_.stream();
  const bool fast = has_fast_attention(index);
  kernels::DecodeRows decode{.list = nullptr,
                             .count = static_cast<int>(rows),
                             .keys_max = keys_max(group),
                             .workspace = buffers_.attention.data(),
                             .packed = {},
                             .may_wait = arrivals_.may_wait()};
  // On full layers, where every split makes all sixteen queries, two kernels are as fast at 1K and
  // 0.6 µs faster at 8K; they would be one more of a layer.
  if (fast && pass == Pass::kSingle &&
      kernels::rotate_and_attend_supports(rotate.heads, rotate.kv)) {
    kernels::check_cuda(
        kernels::rotate_and_attend(rotate, buffers_.attended.as<Value>(), decode, stream),
        "The launch of rotate_and_attend");
    return;
  }
  if (!rotated)
    kernels::check_cuda(kernels::rotate_and_store(rotate, static_cast<int>(rows), stream),
                        "The launch of rotate_and_store");
  const kernels::Attention work{.query = rotate.query,
                                .out = buffers_.attended.as<Value>(),
                                .kv = rotate.kv,
                                .rows = rotate.rows,
                                .pages = rotate.pages,
                                .heads = rotate.heads};
  if (!fast) {
    kernels::check_cuda(kernels::attend_plain(work, static_cast<int>(rows), stream),
                        "The launch of attend_plain");
    return;
  }
  if (packs_attended(index, rows, pass))
    decode.packed = packed(weights_.layers()[index].attention_out.in);
  // In a graph, every row is a decode row or padding, and the list has them all.
  const int listed = pass == Pass::kMixed ? step_.decode_row_count() : static_cast<int>(rows);
  if (pass == Pass::kMixed) decode.keys_max = step_.keys_max(group);
  for (int first = 0; first < listed; first += static_cast<int>(kDecodeRows)) {
    decode.list = step_.decode_rows() + first;
    decode.count = std::min(static_cast<int>(kDecodeRows), listed - first);
    kernels::check_cuda(kernels::attend_decode(work, decode, stream),
                        "The launch of attend_decode");
  }
  if (pass == Pass::kMixed && step_.tile_count() > 0) {
    kernels::check_cuda(kernels::attend_prefill(
                            work, {.tiles = step_.tiles(), .count = step_.tile_count()}, stream),
                        "The launch of attend_prefill");
  }
}

void CudaForward::run_feedforward(std::size_t index, std::size_t rows) {
  const CudaWeights::Layer& layer = weights_.layers()[index];
  if (merges(index, rows)) {
    auto* active = buffers_.active.as<Value>();
    merged_.gate_up_out({.post = layer.post_attention_norm, .pre = layer.pre_feedforward_norm},
                        layer.gate_up, active, rows);
    return merged_.in_front(layer.down, active, rows, false);
  }
  const bool last = index + 1 == weights_.layers().size();
  auto* normal = buffers_.normal.as<Value>();
  auto* active = buffers_.active.as<Value>();
  const kernels::ResidualNorm norm{.sublayer = normal,
                                   .post_weight = layer.post_feedforward_norm,
                                   .scalar = layer.scalar,
                                   .hidden = buffers_.hidden.as<Value>(),
                                   .width = static_cast<int>(text_.hidden_size),
                                   .eps = static_cast<float>(text_.rms_norm_eps)};
  if (last) {  // the final norm is for output rows alone
    seam_.feed_forward(layer.gate_up, layer.down, active, normal, rows);
    return seam_.end(norm, rows);
  }
  const CudaWeights::Layer& next = weights_.layers()[index + 1];
  kernels::ResidualNorm with_next = norm;  // whose first norm rides along
  with_next.pre_weight = next.input_norm;
  seam_.feed_forward_and_norm(layer.gate_up, layer.down, active, packed(layer.down.in), with_next,
                              next.query_key_value, rows);
}

std::string CudaForward::report(const CudaDevice& before) const {
  const CudaDevice now = cuda_device();
  const double weights = static_cast<double>(weights_.bytes()) / 1e9;
  const std::size_t scratch = products_.bytes() + step_.device_bytes() + media_.device_bytes() +
                              outputs_.device_bytes() + buffers_.bytes() + seam_.bytes() +
                              arrivals_.bytes() + merged_.bytes() +
                              (picture_patcher_ ? picture_patcher_->device_bytes() : 0);
  char text[512];
  std::snprintf(
      text, sizeof(text),
      "%s: %.2f GB of weights (copied in %.2f s, %.1f GB/s), %.2f GB of keys and values "
      "for %zu positions (%zu contexts of 900), %.2f GB for steps of %zu rows; %.1f of "
      "%.1f GB were free, %.1f GB are left.",
      now.name.c_str(), weights, weights_.upload_seconds(), weights / weights_.upload_seconds(),
      static_cast<double>(kv_.bytes()) / 1e9, setting_.pages * kPagePositions,
      setting_.pages * kPagePositions / 900, static_cast<double>(scratch) / 1e9, rows_max_,
      static_cast<double>(before.free_bytes) / 1e9, static_cast<double>(before.total_bytes) / 1e9,
      static_cast<double>(now.free_bytes) / 1e9);
  if (arrivals_.may_wait()) return text;
  return std::string(text) + " The kernels of a layer are launched apart, because " +
         arrivals_.obstacle() + ".";
}

}  // namespace

std::unique_ptr<Forward> make_cuda_forward(
    const std::shared_ptr<const Checkpoint>& checkpoint, const ForwardSetting& setting,
    const std::function<void(const std::string& sentence)>& report) {
  if (setting.dtype != Dtype::kBfloat16) {
    throw std::runtime_error(
        "The device cuda computes in bfloat16, but float32 was asked for; choose the dtype "
        "bfloat16 or the device cpu.");
  }
  const CudaDevice before = cuda_device();
  auto forward = std::make_unique<CudaForward>(checkpoint, setting);
  if (report) report(forward->report(before));
  return forward;
}

}  // namespace captiond
