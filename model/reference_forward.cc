#include "model/reference_forward.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <c10/core/InferenceMode.h>

#include "model/check.h"
#include "model/kv_page.h"
#include "model/media_embedder.h"
#include "model/reference_norm.h"
#include "model/reference_weights.h"
#include "model/sampler.h"
#include "model/visibility.h"

namespace captiond {
namespace {

using at::Tensor;

constexpr const char* kEmbedding = "model.language_model.embed_tokens.weight";
constexpr float kMasked = -std::numeric_limits<float>::infinity();
// Below this many multiply-adds (rows * weights) one thread takes a step: with two, the waiting at
// the end of each operation costs more than the second core brings. 24 M weights on 2 cores of an
// EPYC: 1 row 3.7 ms with one thread and 5.7 with two, 8 rows 5.7 and 6.4, 32 rows 11.6 and 11.2,
// 64 rows 19.2 and 17.7; with the second core busy elsewhere one thread won at any size.
constexpr double kSmallStep = 1e9;
constexpr std::size_t kHeadRows = 128;  // logits are made and handed over in blocks of this many

std::int64_t signed_size(std::size_t n) { return static_cast<std::int64_t>(n); }

struct LayerWeights {
  Tensor input_norm;           // float32, as all norm weights
  Projection query_key_value;  // rows: heads, KV heads, then KV heads unless the value is the key
  Tensor query_key_norm;       // [heads + kv_heads, head_dim]
  Projection attention_out;
  Tensor post_attention_norm;
  Tensor pre_feedforward_norm;
  Projection gate_up;
  Projection down;
  Tensor post_feedforward_norm;
  Tensor scalar;  // [1]
};

LayerWeights read_layer(const WeightReader& reader, std::size_t index) {
  const TextConfig& text = reader.checkpoint().config().text;
  const AttentionConfig& attention = text.attention(text.layer_types[index]);
  const std::string prefix = "model.language_model.layers." + std::to_string(index) + ".";
  const auto name = [&](const char* suffix) { return prefix + suffix + ".weight"; };
  std::vector<std::string> projections = {name("self_attn.q_proj"), name("self_attn.k_proj")};
  if (!attention.value_is_key) projections.push_back(name("self_attn.v_proj"));
  const Tensor query_norm = reader.take_float32(name("self_attn.q_norm"));
  const Tensor key_norm = reader.take_float32(name("self_attn.k_norm"));
  return {
      .input_norm = reader.take_float32(name("input_layernorm")),
      .query_key_value = reader.projection(projections),
      .query_key_norm = at::cat({query_norm.expand({text.heads, attention.head_dim}),
                                 key_norm.expand({attention.kv_heads, attention.head_dim})}),
      .attention_out = reader.projection({name("self_attn.o_proj")}),
      .post_attention_norm = reader.take_float32(name("post_attention_layernorm")),
      .pre_feedforward_norm = reader.take_float32(name("pre_feedforward_layernorm")),
      .gate_up = reader.projection({name("mlp.gate_proj"), name("mlp.up_proj")}),
      .down = reader.projection({name("mlp.down_proj")}),
      .post_feedforward_norm = reader.take_float32(name("post_feedforward_layernorm")),
      .scalar = reader.take(prefix + "layer_scalar"),
  };
}

// cos and sin of positions × inverse frequencies of one layer type, as far as positions came.
class RopeTable {
 public:
  RopeTable(const AttentionConfig& attention, at::TensorOptions options)
      : pairs_(attention.head_dim / 2), options_(options) {
    const RopeConfig& rope = attention.rope;
    const Tensor exponent = at::arange(0, 2 * rope.rotary_pairs, 2, at::kFloat)
                                .div_(static_cast<double>(attention.head_dim));
    inverse_frequency_ = at::zeros({pairs_}, at::kFloat);
    inverse_frequency_.narrow(0, 0, rope.rotary_pairs)
        .copy_(at::pow(at::Scalar(rope.theta), exponent).reciprocal_().div_(rope.factor));
  }

  // Rows 0 … positions - 1 at least.
  void grow(std::int64_t positions) {
    if (cosine_.defined() && cosine_.size(0) >= positions) return;
    std::int64_t rows = 1024;
    while (rows < positions) rows *= 2;
    const Tensor angles =
        at::arange(rows, at::kFloat).unsqueeze(1) * inverse_frequency_.unsqueeze(0);
    cosine_ = angles.cos().to(options_);
    sine_ = angles.sin().to(options_);
  }

  Tensor cosine() const { return cosine_; }  // [positions, head_dim / 2]
  Tensor sine() const { return sine_; }

 private:
  const std::int64_t pairs_;
  const at::TensorOptions options_;
  Tensor inverse_frequency_;
  Tensor cosine_;
  Tensor sine_;
};

// Some rows of a tensor: a run of them, or an index. Runs cost no copy.
struct RowSet {
  std::int64_t first = 0;
  std::int64_t count = 0;
  Tensor index;  // int64; undefined: the run

  Tensor of(const Tensor& x) const {
    return index.defined() ? x.index_select(0, index) : x.narrow(0, first, count);
  }
};

RowSet row_set(std::span<const std::int64_t> rows, at::Device device) {
  RowSet set{
      .first = rows.empty() ? 0 : rows.front(), .count = signed_size(rows.size()), .index = {}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == set.first + signed_size(i)) continue;
    set.index = at::empty({set.count}, at::kLong);
    std::memcpy(set.index.data_ptr<std::int64_t>(), rows.data(), rows.size_bytes());
    set.index = set.index.to(device);
    break;
  }
  return set;
}

// What the rows of one slice see on the layers of one group.
struct SliceView {
  RowSet keys;  // slots of the visible positions, ascending
  Tensor mask;  // [count, keys] 0 or -inf; undefined: all keys are visible to all rows
};

// What is the same on all layers of one group.
struct GroupView {
  RowSet written;  // slots of the step's rows
  Tensor cosine;   // [rows, 1, 1, head_dim / 2]
  Tensor sine;     // [rows, 1, 2, head_dim / 2], the first half negated
  std::vector<SliceView> slices;
};

class ReferenceForward final : public Forward {
 public:
  ReferenceForward(std::shared_ptr<const Checkpoint> checkpoint, const ForwardSetting& setting,
                   at::TensorOptions options);

  void run(const Step& step, const RowSink& sink) override;

 private:
  struct Group {
    Tensor pool;  // [layers, 2 (keys, values), slots, kv_heads, head_dim]
    std::optional<RopeTable> rope;
  };

  void set_threads(std::size_t rows);
  void compute(const Step& step, const RowSink& sink);
  Tensor embed(const Step& step);
  Tensor embed_ids(const std::vector<TokenId>& ids) const;
  GroupView view_group(const Step& step, KvGroup kind);
  SliceView view_slice(const StepSlice& slice, KvGroup kind) const;
  void run_layer(std::size_t index, const Step& step, const GroupView& view, Tensor& hidden);
  Tensor attend(const Tensor& query, const Tensor& keys, const Tensor& values,
                const SliceView& view) const;
  void run_head(const Step& step, const Tensor& hidden, const RowSink& sink) const;
  void hand_over(const Tensor& normal, const std::vector<RowOutput>& wanted,
                 const RowSink& sink) const;
  Tensor logits_of(const Tensor& normal) const;

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const ModelConfig& config_;
  const TextConfig& text_;
  const ForwardSetting setting_;
  const at::TensorOptions options_;
  const WeightReader reader_;
  const Tensor embedding_;  // [vocab_size, hidden_size], in the file's dtype
  const Projection head_;   // the same numbers
  std::vector<LayerWeights> layers_;
  const Tensor norm_;
  const MediaEmbedder media_;
  double embedding_scale_ = 1.0;
  std::vector<TokenId> suppressed_;  // ascending
  std::array<Group, kKvGroupCount> groups_;
  std::vector<std::int64_t> layer_in_group_;
  std::size_t weights_ = 0;  // how many
  int threads_ = 0;          // as set last; 0: not yet
};

KvGroup group_of(LayerType type) {
  return type == LayerType::kSliding ? KvGroup::kSliding : KvGroup::kFull;
}
LayerType type_of(KvGroup group) {
  return group == KvGroup::kSliding ? LayerType::kSliding : LayerType::kFull;
}

ReferenceForward::ReferenceForward(std::shared_ptr<const Checkpoint> checkpoint,
                                   const ForwardSetting& setting, at::TensorOptions options)
    : checkpoint_(std::move(checkpoint)),
      config_(checkpoint_->config()),
      text_(config_.text),
      setting_(setting),
      options_(options),
      reader_(*checkpoint_, options),
      embedding_(reader_.mapped(kEmbedding).to(options.device())),
      head_(reader_.projection({kEmbedding})),
      norm_(reader_.take_float32("model.language_model.norm.weight")),
      media_(reader_, options),
      suppressed_(checkpoint_->generation_config().suppressed_token_ids) {
  std::sort(suppressed_.begin(), suppressed_.end());
  // Rounded as transformers rounds it: to float32, then to the dtype (62.0 for 3840 in bfloat16).
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(text_.hidden_size)));
  embedding_scale_ = at::scalar_tensor(scale, at::kFloat).to(options.dtype()).item<double>();
  for (std::size_t i = 0; i < text_.layer_types.size(); ++i) {
    layers_.push_back(read_layer(reader_, i));
  }
  weights_ = checkpoint_->weight_bytes() / static_cast<std::size_t>(embedding_.element_size());
  std::array<std::int64_t, kKvGroupCount> layers = {};
  for (const LayerType type : text_.layer_types) {
    layer_in_group_.push_back(layers[static_cast<std::size_t>(group_of(type))]++);
  }
  const std::int64_t slots = signed_size(setting.pages * kPagePositions);
  for (const KvGroup kind : kKvGroups) {
    const auto i = static_cast<std::size_t>(kind);
    if (layers[i] == 0) continue;
    const AttentionConfig& attention = text_.attention(type_of(kind));
    groups_[i].pool =
        at::empty({layers[i], 2, slots, attention.kv_heads, attention.head_dim}, options);
    groups_[i].rope.emplace(attention, options);
  }
}

void ReferenceForward::set_threads(std::size_t rows) {
  if (setting_.device != Device::kCpu) return;
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const int most = setting_.threads > 0 ? setting_.threads : cores;
  const bool small = static_cast<double>(rows) * static_cast<double>(weights_) < kSmallStep;
  const int threads = small ? 1 : most;
  // The setting is the calling thread's own, so it is made on the thread that computes.
  if (threads != threads_) at::set_num_threads(threads);
  threads_ = threads;
}

void ReferenceForward::run(const Step& step, const RowSink& sink) {
  try {
    set_threads(step.rows() + step.heads.size());
    const c10::InferenceMode inference;
    compute(step, sink);
  } catch (const c10::Error& error) {
    throw std::runtime_error(std::string("The forward pass failed: ") +
                             error.what_without_backtrace());
  }
}

void ReferenceForward::compute(const Step& step, const RowSink& sink) {
  for (const PageCopy& copy : step.copies) {
    const Tensor& pool = groups_[static_cast<std::size_t>(copy.group)].pool;
    constexpr auto kRows = static_cast<std::int64_t>(kPagePositions);
    pool.narrow(2, copy.to * kRows, kRows).copy_(pool.narrow(2, copy.from * kRows, kRows));
  }
  Tensor hidden;
  if (!step.slices.empty()) {
    hidden = embed(step);
    std::array<std::optional<GroupView>, kKvGroupCount> views;
    for (const KvGroup kind : kKvGroups) {
      const auto i = static_cast<std::size_t>(kind);
      if (groups_[i].pool.defined()) views[i] = view_group(step, kind);
    }
    for (std::size_t i = 0; i < text_.layer_types.size(); ++i) {
      run_layer(i, step, *views[static_cast<std::size_t>(group_of(text_.layer_types[i]))], hidden);
    }
  }
  run_head(step, hidden, sink);
}

// -- From ids, samples and pixels to rows.

Tensor ReferenceForward::embed(const Step& step) {
  std::vector<Tensor> parts;
  for (const StepSlice& slice : step.slices) {
    const std::int64_t count = signed_size(slice.count);
    if (const auto* ids = std::get_if<IdRows>(&slice.rows)) {
      parts.push_back(embed_ids(ids->ids));
    } else if (const auto* audio = std::get_if<AudioRows>(&slice.rows)) {
      parts.push_back(media_.embed(*audio, count));
    } else {
      parts.push_back(media_.embed(std::get<PictureRows>(slice.rows), count));
    }
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

Tensor ReferenceForward::embed_ids(const std::vector<TokenId>& ids) const {
  Tensor index = at::empty({signed_size(ids.size())}, at::kLong);
  auto* out = index.data_ptr<std::int64_t>();
  for (const TokenId id : ids) {
    // A soft token that the model itself chose: transformers looks up the pad id in its place.
    const bool soft = id == config_.image_token_id || id == config_.audio_token_id ||
                      id == config_.video_token_id;
    *out++ = soft ? text_.pad_token_id : id;
  }
  return embedding_.index_select(0, index.to(options_.device()))
      .to(options_.dtype())
      .mul_(embedding_scale_);
}

// -- Who sees whom.

std::int64_t slot_of(const StepSlice& slice, KvGroup kind, std::size_t position) {
  const PageId page = slice.pages[static_cast<std::size_t>(kind)][position / kPagePositions];
  check(page != kNoPage, "a position that is needed has its KV page");
  return signed_size(static_cast<std::size_t>(page) * kPagePositions + position % kPagePositions);
}

GroupView ReferenceForward::view_group(const Step& step, KvGroup kind) {
  std::vector<std::int64_t> slots;
  std::vector<std::int64_t> positions;
  GroupView view;
  for (const StepSlice& slice : step.slices) {
    for (std::size_t i = 0; i < slice.count; ++i) {
      positions.push_back(signed_size(slice.first_position + i));
      slots.push_back(slot_of(slice, kind, slice.first_position + i));
    }
    view.slices.push_back(view_slice(slice, kind));
  }
  view.written = row_set(slots, options_.device());
  RopeTable& rope = *groups_[static_cast<std::size_t>(kind)].rope;
  rope.grow(*std::max_element(positions.begin(), positions.end()) + 1);
  const RowSet rows = row_set(positions, options_.device());
  view.cosine = rows.of(rope.cosine()).unsqueeze(1).unsqueeze(1);
  const Tensor sine = rows.of(rope.sine());
  view.sine = at::stack({sine.neg(), sine}, 1).unsqueeze(1);
  return view;
}

SliceView ReferenceForward::view_slice(const StepSlice& slice, KvGroup kind) const {
  const Visibility visibility(text_, setting_.vision_mask, kind);
  const std::size_t first_key = visibility.first_key(slice);
  const std::size_t end = slice.first_position + slice.count;
  std::vector<std::int64_t> slots;
  for (std::size_t key = first_key; key < end; ++key) slots.push_back(slot_of(slice, kind, key));
  SliceView view{.keys = row_set(slots, options_.device()), .mask = {}};
  if (slice.count == 1) return view;
  Tensor mask = at::empty({signed_size(slice.count), signed_size(end - first_key)}, at::kFloat);
  auto* out = mask.data_ptr<float>();
  for (std::size_t query = slice.first_position; query < end; ++query) {
    for (std::size_t key = first_key; key < end; ++key) {
      *out++ = visibility.visible(slice, query, key) ? 0.0F : kMasked;
    }
  }
  view.mask = mask.to(options_);
  return view;
}

// -- Layers.

void ReferenceForward::run_layer(std::size_t index, const Step& step, const GroupView& view,
                                 Tensor& hidden) {
  const LayerWeights& w = layers_[index];
  const LayerType type = text_.layer_types[index];
  const AttentionConfig& attention = text_.attention(type);
  const double eps = text_.rms_norm_eps;
  const auto dtype = hidden.scalar_type();
  const std::int64_t rows = hidden.size(0);
  const std::int64_t dim = attention.head_dim;
  const std::int64_t rotated = text_.heads + attention.kv_heads;

  const Tensor projected =
      w.query_key_value.apply(rms_norm(hidden, w.input_norm, eps)).view({rows, -1, dim});
  const Tensor normal = normalised(projected, eps);  // queries, keys and values, not weighted yet
  Tensor query_key = (normal.narrow(1, 0, rotated) * w.query_key_norm).to(dtype);
  query_key = query_key.view({rows, rotated, 2, dim / 2});
  query_key = (query_key * view.cosine).add_(query_key.flip(2).mul_(view.sine));
  query_key = query_key.view({rows, rotated, dim});

  const Tensor pool =
      groups_[static_cast<std::size_t>(group_of(type))].pool.select(0, layer_in_group_[index]);
  const Tensor keys = pool.select(0, 0);
  const Tensor values = pool.select(0, 1);
  const Tensor key = query_key.narrow(1, text_.heads, attention.kv_heads);
  // Without a v_proj the last heads are the raw keys: the value is their norm without weight.
  const Tensor value = normal.narrow(1, normal.size(1) - attention.kv_heads, attention.kv_heads);
  if (view.written.index.defined()) {
    keys.index_copy_(0, view.written.index, key.contiguous());
    values.index_copy_(0, view.written.index, value.to(dtype));
  } else {
    view.written.of(keys).copy_(key);
    view.written.of(values).copy_(value);
  }

  std::vector<Tensor> seen;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < step.slices.size(); ++i) {
    const std::int64_t count = signed_size(step.slices[i].count);
    const Tensor query = query_key.narrow(0, row, count).narrow(1, 0, text_.heads);
    seen.push_back(attend(query, keys, values, view.slices[i]));
    row += count;
  }
  const Tensor attended = w.attention_out.apply(seen.size() == 1 ? seen.front() : at::cat(seen));
  hidden = hidden + rms_norm(attended, w.post_attention_norm, eps);

  const Tensor gate_up = w.gate_up.apply(rms_norm(hidden, w.pre_feedforward_norm, eps));
  const std::int64_t width = text_.intermediate_size;
  const Tensor active =
      at::gelu(gate_up.narrow(1, 0, width), "tanh").mul_(gate_up.narrow(1, width, width));
  const Tensor out = w.down.apply(active);
  hidden.add_(rms_norm(out, w.post_feedforward_norm, eps)).mul_(w.scalar);
}

// query [rows, heads, head_dim], keys and values [slots, kv_heads, head_dim]
// -> [rows, heads * head_dim]. Query heads that share a KV head are rows of one product.
Tensor ReferenceForward::attend(const Tensor& query, const Tensor& keys, const Tensor& values,
                                const SliceView& view) const {
  const std::int64_t rows = query.size(0);
  const std::int64_t heads = query.size(1);
  const std::int64_t dim = query.size(2);
  const std::int64_t kv_heads = keys.size(1);
  const std::int64_t sharing = heads / kv_heads;
  const Tensor grouped = query.reshape({rows, kv_heads, sharing, dim})
                             .permute({1, 2, 0, 3})
                             .reshape({kv_heads, sharing * rows, dim});
  const Tensor key = view.keys.of(keys).permute({1, 2, 0});   // [kv_heads, dim, keys]
  const Tensor value = view.keys.of(values).transpose(0, 1);  // [kv_heads, keys, dim]
  Tensor scores = at::bmm(grouped, key);
  if (view.mask.defined()) scores.view({heads, rows, -1}).add_(view.mask);
  scores = at::softmax(scores, -1, at::kFloat).to(query.scalar_type());
  return at::bmm(scores, value)
      .view({kv_heads, sharing, rows, dim})
      .permute({2, 0, 1, 3})
      .reshape({rows, heads * dim});
}

// -- From rows to logits.

void ReferenceForward::run_head(const Step& step, const Tensor& hidden, const RowSink& sink) const {
  std::vector<Tensor> parts;
  std::vector<RowOutput> wanted;
  for (const HeadRow& head : step.heads) {
    parts.push_back(
        at::from_blob(const_cast<float*>(head.hidden.data()), {1, text_.hidden_size}, at::kFloat)
            .to(options_));
    wanted.push_back(head.output);
  }
  if (!step.outputs.empty()) {
    std::vector<std::int64_t> rows;
    for (const OutputRow& output : step.outputs) {
      rows.push_back(signed_size(output.row));
      wanted.push_back(output.output);
    }
    parts.push_back(
        rms_norm(row_set(rows, options_.device()).of(hidden), norm_, text_.rms_norm_eps));
  }
  if (parts.empty()) return;
  const Tensor normal = parts.size() == 1 ? parts.front() : at::cat(parts);
  hand_over(normal, wanted, sink);
}

// normal [wanted, hidden_size] after the final norm.
void ReferenceForward::hand_over(const Tensor& normal, const std::vector<RowOutput>& wanted,
                                 const RowSink& sink) const {
  const Tensor host = normal.to(at::kCPU, at::kFloat).contiguous();
  const auto width = static_cast<std::size_t>(text_.hidden_size);
  const auto vocabulary = static_cast<std::size_t>(text_.vocab_size);
  std::vector<std::int64_t> with_logits;
  for (std::size_t row = 0; row < wanted.size(); ++row) {
    if (wanted[row] != RowOutput::kHidden) with_logits.push_back(signed_size(row));
  }
  Tensor logits;
  std::size_t done = 0;  // of with_logits
  for (std::size_t row = 0; row < wanted.size(); ++row) {
    RowResult result;
    result.hidden = {host.data_ptr<float>() + row * width, width};
    if (wanted[row] != RowOutput::kHidden) {
      const std::size_t in_block = done % kHeadRows;
      if (in_block == 0) {
        const auto left = std::span(with_logits).subspan(done);
        const auto block = left.first(std::min(left.size(), kHeadRows));
        logits = logits_of(row_set(block, options_.device()).of(normal));
      }
      ++done;
      const std::span<const float> row_logits(logits.data_ptr<float>() + in_block * vocabulary,
                                              vocabulary);
      const GreedyPick pick = pick_greedy(row_logits, suppressed_);
      result.finite = pick.finite;
      result.choice = pick.token;
      if (wanted[row] != RowOutput::kGreedy) result.logits = row_logits;
    }
    sink(row, result);
  }
}

// [n, vocab_size] float32 on the CPU.
Tensor ReferenceForward::logits_of(const Tensor& normal) const {
  Tensor logits = head_.apply(normal);
  if (const auto cap = text_.final_logit_softcapping) {
    logits.div_(*cap).tanh_().mul_(*cap);
  }
  return logits.to(at::kCPU, at::kFloat).contiguous();
}

at::TensorOptions tensor_options(const ForwardSetting& setting) {
  if (setting.device == Device::kCuda && !at::hasCUDA()) {
    throw std::runtime_error(
        "The device cuda was asked for, but this build of the engine or this machine has none; use "
        "the device cpu.");
  }
  return at::TensorOptions()
      .device(setting.device == Device::kCuda ? at::kCUDA : at::kCPU)
      .dtype(setting.dtype == Dtype::kFloat32 ? at::kFloat : at::kBFloat16);
}

}  // namespace

std::unique_ptr<Forward> make_reference_forward(std::shared_ptr<const Checkpoint> checkpoint,
                                                const ForwardSetting& setting) {
  try {
    return std::make_unique<ReferenceForward>(std::move(checkpoint), setting,
                                              tensor_options(setting));
  } catch (const c10::Error& error) {
    throw std::runtime_error(std::string("The weights and the KV pages could not be set up: ") +
                             error.what_without_backtrace());
  }
}

}  // namespace captiond
