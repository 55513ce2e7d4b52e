// Attention, norms and rope on the GPU at the shapes of the 12B: measured beside the limit, which
// is the bytes that must be read (and written) at this GPU's read rate, or the multiply-adds at its
// bfloat16 matrix rate, both measured in the same run. Calls run in a CUDA graph, one a layer, each
// layer with memory of its own, so that neither launches nor the L2 cache flatter.

#include <ATen/ATen.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include "bench/device_rates.h"
#include "model/kernels/attention.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/norm.h"
#include "model/kernels/rotary.h"

namespace captiond {
namespace {

using at::Tensor;
using kernels::check_cuda;

constexpr std::int64_t kL2Bytes = std::int64_t{60} << 20;
constexpr std::int64_t kMemoryMost = std::int64_t{40} << 30;  // of the keys and values of a case
constexpr int kWidth = 3840;
constexpr int kPasses = 20;

struct LayerKind {
  const char* name;
  int heads;
  int kv_heads;
  int head_dim;
  int window;  // 0: none
  bool value_is_key;
  int rotary_pairs;
};
constexpr LayerKind kSliding = {"sliding", 16, 8, 256, 1024, false, 128};
constexpr LayerKind kFull = {"full", 16, 1, 512, 0, true, 64};
constexpr std::array<LayerKind, 2> kKinds = {kSliding, kFull};

at::TensorOptions options(at::ScalarType type) { return at::TensorOptions(at::kCUDA).dtype(type); }

Tensor random_bf16(std::int64_t count, double deviation) {
  return at::empty({count}, options(at::kBFloat16)).normal_(0.0, deviation);
}
__nv_bfloat16* values_of(const Tensor& tensor) {
  return reinterpret_cast<__nv_bfloat16*>(tensor.data_ptr());
}

template <typename T>
Tensor uploaded(const std::vector<T>& values) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  Tensor tensor = at::empty({bytes}, options(at::kByte));
  check_cuda(cudaMemcpy(tensor.data_ptr(), values.data(), values.size() * sizeof(T),
                        cudaMemcpyHostToDevice),
             "Copying to the GPU");
  return tensor;
}
template <typename T>
const T* array_of(const Tensor& tensor) {
  return reinterpret_cast<const T*>(tensor.data_ptr());
}

// Seconds of one call: the best pass of a graph of `calls` calls, which get their number.
double seconds_of(int calls, const std::function<void(int, cudaStream_t)>& call) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t captured = nullptr;
  std::array<cudaEvent_t, 2> events = {};
  check_cuda(cudaStreamCreate(&stream), "Making a stream");
  for (cudaEvent_t& event : events) check_cuda(cudaEventCreate(&event), "Making an event");
  check_cuda(cudaDeviceSynchronize(), "Waiting for the GPU");
  call(0, stream);
  check_cuda(cudaStreamSynchronize(stream), "The first call");
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "A capture");
  for (int i = 0; i < calls; ++i) call(i, stream);
  check_cuda(cudaStreamEndCapture(stream, &graph), "A capture");
  check_cuda(cudaGraphInstantiate(&captured, graph, 0), "Making a graph");
  std::vector<double> passes;
  for (int pass = -2; pass < kPasses; ++pass) {  // two to warm up
    check_cuda(cudaEventRecord(events[0], stream), "Recording an event");
    check_cuda(cudaGraphLaunch(captured, stream), "Launching a graph");
    check_cuda(cudaEventRecord(events[1], stream), "Recording an event");
    check_cuda(cudaEventSynchronize(events[1]), "Running a graph");
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, events[0], events[1]), "Reading a time");
    if (pass >= 0) passes.push_back(static_cast<double>(milliseconds) / 1e3 / calls);
  }
  cudaGraphExecDestroy(captured);
  cudaGraphDestroy(graph);
  for (cudaEvent_t& event : events) cudaEventDestroy(event);
  cudaStreamDestroy(stream);
  return *std::min_element(passes.begin(), passes.end());
}

int visible_keys(const LayerKind& kind, int position) {
  return kind.window == 0 ? position + 1 : std::min(position + 1, kind.window);
}

// Rows with pages of their own, as a step has them; keys and values of some layers.
class Rows {
 public:
  // `first` … `first` + `count` - 1 of each of `sequences` sequences.
  Rows(const LayerKind& kind, int sequences, int first, int count,
       kernels::KvFormat format = kernels::KvFormat::kBf16)
      : kind_(kind), row_count_(sequences * count), format_(format) {
    std::vector<kernels::KvRow> rows;
    std::vector<int> pages;
    const int end = first + count;
    for (int s = 0; s < sequences; ++s) {
      const int oldest = first + 1 - visible_keys(kind, first);
      const int gone = oldest / kernels::kKvPagePositions;
      const int begin = static_cast<int>(pages.size()) - gone;
      for (int page = gone; page * kernels::kKvPagePositions < end; ++page) {
        pages.push_back(static_cast<int>(pages.size()));
      }
      for (int position = first; position < end; ++position) {
        const int keys = visible_keys(kind, position);
        rows.push_back({.position = position,
                        .page_begin = begin,
                        .first_key = position + 1 - keys,
                        .end_key = position + 1});
        keys_ += keys;
        keys_max_ = std::max(keys_max_, keys);
      }
      for (int i = 0; i < count; i += kernels::kAttentionTileRows) {
        tiles_.push_back({.first_row = s * count + i,
                          .count = std::min(kernels::kAttentionTileRows, count - i)});
      }
    }
    layer_bytes_ = static_cast<std::int64_t>(pages.size() * shape().page_bytes());
    layers_ = static_cast<int>(std::clamp<std::int64_t>(8 * kL2Bytes / layer_bytes_, 1, 40));
    if (layer_bytes_ > kMemoryMost) throw std::runtime_error("The case takes too much memory.");
    kv_ = format == kernels::KvFormat::kBf16
              ? random_bf16(layers_ * layer_bytes_ / 2, 0.35)
              : at::randint(0x60, {layers_ * layer_bytes_}, options(at::kByte));  // no NaN
    query_ = random_bf16(std::int64_t{row_count_} * kind.heads * kind.head_dim, 0.35);
    out_ = at::empty_like(query_);
    device_rows_ = uploaded(rows);
    device_pages_ = uploaded(pages);
    device_tiles_ = uploaded(tiles_);
  }

  kernels::Attention attention(int layer) const {
    return {.query = values_of(query_),
            .out = values_of(out_),
            .kv = kv(layer),
            .rows = array_of<kernels::KvRow>(device_rows_),
            .pages = array_of<int>(device_pages_),
            .heads = kind_.heads};
  }
  kernels::KvLayer kv(int layer) const {
    kernels::KvLayer kv = shape();
    kv.base = static_cast<unsigned char*>(kv_.data_ptr()) + layer % layers_ * layer_bytes_;
    return kv;
  }
  kernels::PrefillTiles tiles() const {
    return {.tiles = array_of<kernels::AttentionTile>(device_tiles_),
            .count = static_cast<int>(tiles_.size())};
  }
  int count() const { return row_count_; }
  int keys_max() const { return keys_max_; }
  double keys() const { return keys_; }  // that all rows see together
  double key_bytes() const {             // of a key and its value
    return static_cast<double>(shape().page_bytes()) / kernels::kKvPagePositions;
  }

 private:
  kernels::KvLayer shape() const {
    return {.base = nullptr,
            .kv_heads = kind_.kv_heads,
            .head_dim = kind_.head_dim,
            .format = format_,
            .key_scale = 64.0F};
  }

  const LayerKind kind_;
  const int row_count_;
  const kernels::KvFormat format_;
  std::vector<kernels::AttentionTile> tiles_;
  double keys_ = 0;
  int keys_max_ = 0;
  int layers_ = 1;
  std::int64_t layer_bytes_ = 0;
  Tensor kv_;
  Tensor query_;
  Tensor out_;
  Tensor device_rows_;
  Tensor device_pages_;
  Tensor device_tiles_;
};

// What the projections leave for norm, rope and attention.
class Projected {
 public:
  Projected(const LayerKind& kind, const Rows& rows)
      : kind_(kind),
        rows_(rows),
        heads_(kind.heads + (kind.value_is_key ? 1 : 2) * kind.kv_heads),
        projected_(random_bf16(std::int64_t{rows.count()} * heads_ * kind.head_dim, 1.0)),
        weight_(random_bf16(kind.head_dim, 0.1)),
        frequency_(at::rand({kind.head_dim}, options(at::kFloat))) {}

  kernels::RotateAndStore work(int layer) const {
    const kernels::Attention attention = rows_.attention(layer);
    return {.projected = values_of(projected_),
            .query_weight = values_of(weight_),
            .key_weight = values_of(weight_),
            .inverse_frequency = array_of<float>(frequency_),
            .query = const_cast<__nv_bfloat16*>(attention.query),
            .kv = attention.kv,
            .rows = attention.rows,
            .pages = attention.pages,
            .heads = kind_.heads,
            .rotary_pairs = kind_.rotary_pairs,
            .value_is_key = kind_.value_is_key,
            .eps = 1e-6F};
  }
  double bytes() const {  // read and written
    return 2.0 * rows_.count() * kind_.head_dim * (heads_ + kind_.heads + 2 * kind_.kv_heads);
  }

 private:
  const LayerKind kind_;
  const Rows& rows_;
  const int heads_;
  const Tensor projected_;
  const Tensor weight_;
  const Tensor frequency_;
};

const char* name_of(kernels::KvFormat format) {
  return format == kernels::KvFormat::kFp8 ? "fp8" : "bf16";
}

void decode_case(const DeviceRates& rates, const LayerKind& kind, kernels::KvFormat format,
                 int batch, int context) {
  const Rows rows(kind, batch, context - 1, 1, format);
  const Tensor workspace = at::zeros({static_cast<std::int64_t>(kernels::decode_workspace_bytes(
                                         kind.heads, kind.head_dim, batch, rows.keys_max()))},
                                     options(at::kByte));
  const kernels::DecodeRows list = {.list = nullptr,
                                    .count = batch,
                                    .keys_max = rows.keys_max(),
                                    .workspace = workspace.data_ptr()};
  const double seconds = seconds_of(40, [&](int layer, cudaStream_t stream) {
    check_cuda(kernels::attend_decode(rows.attention(layer), list, stream), "Decode attention");
  });
  const Projected projected(kind, rows);
  const double two = seconds_of(40, [&](int layer, cudaStream_t stream) {
    check_cuda(kernels::rotate_and_store(projected.work(layer), batch, stream), "Rope");
    check_cuda(kernels::attend_decode(rows.attention(layer), list, stream), "Decode attention");
  });
  const double limit = rows.keys() * rows.key_bytes() / rates.read_bytes_per_s;
  std::printf("%-8s %5s %6d %8d %10.2f %10.2f %9.2f %8.2f", kind.name, name_of(format), batch,
              context, seconds * 1e6, limit * 1e6, limit / seconds, two * 1e6);
  if (kernels::rotate_and_attend_supports(kind.heads, rows.attention(0).kv)) {
    const double one = seconds_of(40, [&](int layer, cudaStream_t stream) {
      check_cuda(kernels::rotate_and_attend(projected.work(layer), rows.attention(layer).out, list,
                                            stream),
                 "Rope and decode attention");
    });
    std::printf(" %8.2f", one * 1e6);
  }
  std::printf("\n");
}

void decode(const DeviceRates& rates) {
  std::printf(
      "\ndecode attention, one layer; two: after norm and rope, one: in one kernel with them\n"
      "%-8s %5s %6s %8s %10s %10s %9s %8s %8s\n",
      "layer", "keys", "batch", "context", "us", "limit us", "of limit", "two us", "one us");
  for (const kernels::KvFormat format : {kernels::KvFormat::kBf16, kernels::KvFormat::kFp8}) {
    for (const LayerKind& kind : kKinds) {
      for (const int context : {1024, 8192, 32768}) {
        if (kind.window > 0 && context > 1024) continue;  // the same keys
        for (const int batch : {1, 2, 8, 32, 100}) decode_case(rates, kind, format, batch, context);
      }
    }
  }
}

void prefill(const DeviceRates& rates) {
  std::printf("\nprefill attention, one layer; limit %.0f TFLOP/s\n%-8s %5s %6s %8s %10s %9s %9s\n",
              rates.multiply_adds_per_s * 2 / 1e12, "layer", "keys", "rows", "before", "us",
              "TFLOP/s", "of limit");
  struct Prompt {
    int sequences;
    int rows;
    int before;
  };
  for (const auto& [kind, format] :
       {std::pair(kSliding, kernels::KvFormat::kBf16), std::pair(kFull, kernels::KvFormat::kBf16),
        std::pair(kSliding, kernels::KvFormat::kFp8), std::pair(kFull, kernels::KvFormat::kFp8)}) {
    for (const Prompt& prompt : {Prompt{1, 1024, 0}, Prompt{1, 4096, 0}, Prompt{1, 8192, 0},
                                 Prompt{1, 512, 8192}, Prompt{16, 25, 900}}) {
      const Rows rows(kind, prompt.sequences, prompt.before, prompt.rows, format);
      const double seconds = seconds_of(8, [&](int layer, cudaStream_t stream) {
        check_cuda(kernels::attend_prefill(rows.attention(layer), rows.tiles(), stream),
                   "Prefill attention");
      });
      const double flop = rows.keys() * kind.heads * kind.head_dim * 2 * 2;
      std::printf("%-8s %5s %6d %8d %10.1f %9.0f %9.2f\n", kind.name, name_of(format), rows.count(),
                  prompt.before, seconds * 1e6, flop / seconds / 1e12,
                  flop / 2 / rates.multiply_adds_per_s / seconds);
    }
  }
}

void print_rows(const char* what, int rows, double bytes, double seconds,
                const DeviceRates& rates) {
  const double limit = bytes / rates.copy_bytes_per_s;
  std::printf("%-30s %6d %10.2f %10.2f %9.2f\n", what, rows, seconds * 1e6, limit * 1e6,
              limit / seconds);
}

void norms(const DeviceRates& rates) {
  std::printf("\nnorms and rope; limit: bytes at the copy rate\n%-30s %6s %10s %10s %9s\n",
              "kernel", "rows", "us", "limit us", "of limit");
  const Tensor weight = random_bf16(kWidth, 0.5);
  const Tensor scalar = random_bf16(8, 0.5);
  for (const int rows : {1, 32, 100, 512, 4096}) {
    const std::int64_t values = std::int64_t{rows} * kWidth;
    const int sets = static_cast<int>(std::clamp<std::int64_t>(8 * kL2Bytes / (4 * values), 1, 20));
    const Tensor hidden = random_bf16(sets * values, 1.0);
    const Tensor x = random_bf16(sets * values, 1.0);
    const double seconds = seconds_of(20, [&](int i, cudaStream_t stream) {
      check_cuda(kernels::residual_norm({.sublayer = values_of(x) + i % sets * values,
                                         .post_weight = values_of(weight),
                                         .scalar = values_of(scalar),
                                         .pre_weight = values_of(weight),
                                         .hidden = values_of(hidden) + i % sets * values,
                                         .y = values_of(x) + i % sets * values,
                                         .width = kWidth,
                                         .eps = 1e-6F},
                                        rows, stream),
                 "The residual norm");
    });
    print_rows("residual_norm", rows, 4.0 * 2 * static_cast<double>(values), seconds, rates);
  }
  for (const auto& [kind, format] :
       {std::pair(kSliding, kernels::KvFormat::kBf16), std::pair(kFull, kernels::KvFormat::kBf16),
        std::pair(kSliding, kernels::KvFormat::kFp8), std::pair(kFull, kernels::KvFormat::kFp8)}) {
    for (const int rows : {1, 32, 100, 512, 4096}) {
      const Rows step(kind, rows > 100 ? 1 : rows, 0, rows > 100 ? rows : 1, format);
      const Projected projected(kind, step);
      const double seconds = seconds_of(20, [&](int layer, cudaStream_t stream) {
        check_cuda(kernels::rotate_and_store(projected.work(layer), rows, stream), "Rope");
      });
      const double stored = rows * (kind.kv_heads * kind.head_dim * 4.0 - step.key_bytes());
      print_rows((std::string("rotate_and_store ") + kind.name + " " + name_of(format)).c_str(),
                 rows, projected.bytes() - stored, seconds, rates);
    }
  }
}

int run(const std::vector<std::string>& wanted) {
  struct Section {
    const char* name;
    void (*print)(const DeviceRates&);
  };
  constexpr std::array<Section, 3> kSections = {
      {{"decode", decode}, {"prefill", prefill}, {"norms", norms}}};
  for (const std::string& name : wanted) {
    const bool known = std::any_of(kSections.begin(), kSections.end(),
                                   [&](const Section& section) { return name == section.name; });
    if (!known) {
      throw std::runtime_error("No section " + name + ": there are decode, prefill and norms.");
    }
  }
  const DeviceRates rates = device_rates();
  std::printf("read %.0f GB/s, copy %.0f GB/s, bfloat16 %.0f TFLOP/s\n",
              rates.read_bytes_per_s / 1e9, rates.copy_bytes_per_s / 1e9,
              rates.multiply_adds_per_s * 2 / 1e12);
  for (const Section& section : kSections) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), section.name) != wanted.end()) {
      section.print(rates);
    }
  }
  return 0;
}

}  // namespace
}  // namespace captiond

// bench_attention [decode] [prefill] [norms]: those sections, or all.
int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return captiond::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_attention: %s\n", error.what());
    return 1;
  }
}
