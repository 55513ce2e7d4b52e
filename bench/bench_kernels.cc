// The matrix products of the 12B, each beside its limit: the bytes of its weights at the rate that
// this run reads memory, or its multiply-adds at the rate that this run reaches in bf16 at 8192 x
// 8192 x 8192. Launches stand in a CUDA graph one after another, as in a step; weights rotate
// through more than 512 MB, so that the cache holds none of them.
//
// Usage: bench_kernels [bf16|fp8|int8|int4 …] [step|each …] [ROWS …]; none: all formats, all
// tables, the rows of the tables in docs/performance.md.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "bench/device_stream.h"
#include "model/kernels/cuda_error.h"
#include "model/kernels/matrix_products.h"
#include "model/kernels/norm.h"
#include "model/kernels/pack_matrix.h"

namespace {

using namespace captiond::kernels;

constexpr std::size_t kRotatedBytes = std::size_t{512} << 20;
constexpr int kMostRows = 4096, kStepRows = 256, kHeadRows = 128;
constexpr int kHidden = 3840, kInner = 15360, kVocabulary = 262144;

void require(cudaError_t status) { check_cuda(status, "A CUDA call of the bench"); }

// Device memory full of random values.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes, std::uint32_t seed = 1) : bytes_((bytes + 255) / 256 * 256) {
    require(cudaMalloc(&data_, bytes_));
    require(captiond::fill_random(data_, bytes_, seed, nullptr));
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  char* data() const { return static_cast<char*>(data_); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  void zero() { require(cudaMemset(data_, 0, bytes_)); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

// Seconds of what `enqueue` puts into a stream, as one graph: the best of eleven launches.
class Stopwatch {
 public:
  Stopwatch() {
    require(cudaStreamCreate(&stream_));
    require(cudaEventCreate(&begin_));
    require(cudaEventCreate(&end_));
  }
  ~Stopwatch() {
    cudaEventDestroy(end_);
    cudaEventDestroy(begin_);
    cudaStreamDestroy(stream_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  double seconds(const std::function<void(cudaStream_t)>& enqueue) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    require(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    enqueue(stream_);
    require(cudaStreamEndCapture(stream_, &graph));
    require(cudaGraphInstantiate(&executable, graph, 0));
    float best = 1e9F;
    for (int pass = 0; pass < 12; ++pass) {
      require(cudaEventRecord(begin_, stream_));
      require(cudaGraphLaunch(executable, stream_));
      require(cudaEventRecord(end_, stream_));
      require(cudaEventSynchronize(end_));
      float milliseconds = 0;
      require(cudaEventElapsedTime(&milliseconds, begin_, end_));
      if (pass > 0) best = std::min(best, milliseconds);
    }
    require(cudaGraphExecDestroy(executable));
    require(cudaGraphDestroy(graph));
    return best * 1e-3;
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

struct Limits {
  double bytes_per_s = 0;
  double multiply_adds_per_s = 0;
};

struct Format {
  std::string_view name;
  MatrixFormat format;
};
constexpr Format kFormats[] = {{"bf16", MatrixFormat::kBf16},
                               {"fp8", MatrixFormat::kFp8},
                               {"int8", MatrixFormat::kInt8},
                               {"int4", MatrixFormat::kInt4}};

enum class Kind { kLinear, kGateUp, kGreedy, kLogits };
struct Case {
  std::string_view name;
  Kind kind;
  int out, in;
};
constexpr Case kCases[] = {{"qkv sliding", Kind::kLinear, 8192, kHidden},
                           {"qkv full", Kind::kLinear, 8704, kHidden},
                           {"o sliding", Kind::kLinear, kHidden, 4096},
                           {"o full", Kind::kLinear, kHidden, 8192},
                           {"gate up", Kind::kGateUp, 2 * kInner, kHidden},
                           {"down", Kind::kLinear, kHidden, kInner},
                           {"head greedy", Kind::kGreedy, kVocabulary, kHidden},
                           {"head logits", Kind::kLogits, kVocabulary, kHidden}};

// The matrices of one case, rotated.
class Weights {
 public:
  Weights(MatrixFormat format, const Case& one)
      : format_(format), case_(one), bytes_(matrix_bytes(format, one.out, one.in)) {
    copies_ = std::max<std::size_t>(1, (kRotatedBytes + sum() - 1) / sum());
    values_ = std::make_unique<Buffer>(aligned(bytes_.values) * copies_, 2);
    if (bytes_.scales > 0) scales_ = std::make_unique<Buffer>(aligned(bytes_.scales) * copies_, 3);
  }
  std::size_t sum() const { return bytes_.values + bytes_.scales; }
  std::size_t copies() const { return copies_; }
  Matrix matrix(std::size_t index) const {
    index %= copies_;
    return {.format = format_,
            .values = values_->data() + aligned(bytes_.values) * index,
            .scales = scales_ ? scales_->data() + aligned(bytes_.scales) * index : nullptr,
            .out = case_.out,
            .in = case_.in};
  }

 private:
  static std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }
  MatrixFormat format_;
  const Case& case_;
  MatrixBytes bytes_;
  std::size_t copies_ = 0;
  std::unique_ptr<Buffer> values_, scales_;
};

struct Activations {
  Buffer x, y, workspace;
  Activations(MatrixProducts& products, const Case& one, MatrixFormat format, int rows_max)
      : x(std::size_t{2} * static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(one.in)),
        y(std::size_t{4} * static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(one.out)),
        workspace(planned(products, one, format, rows_max)) {
    workspace.zero();
    bytes = planned(products, one, format, rows_max);
  }
  std::size_t bytes = 0;

  static std::size_t planned(MatrixProducts& products, const Case& one, MatrixFormat format,
                             int rows_max) {
    const ProductShape shape{
        .format = format, .out = one.out, .in = one.in, .gate_up = one.kind == Kind::kGateUp};
    return products.plan({&shape, 1}, rows_max);
  }
};

void enqueue(MatrixProducts& products, const Case& one, const Matrix& w, const Activations& a,
             int rows, cudaStream_t stream) {
  const ProductWorkspace workspace{.data = a.workspace.data(), .bytes = a.bytes};
  const auto* x = a.x.as<__nv_bfloat16>();
  const Head head{.embedding = w, .softcap = 30.0F};
  switch (one.kind) {
    case Kind::kLinear:
      return products.linear(w, x, a.y.as<__nv_bfloat16>(), rows, workspace, stream);
    case Kind::kGateUp:
      return products.gate_up(w, x, a.y.as<__nv_bfloat16>(), rows, workspace, stream);
    case Kind::kGreedy:
      return products.head_greedy(head, x, a.y.as<GreedyChoice>(), rows, workspace, stream);
    case Kind::kLogits:
      return products.head_logits(head, x, a.y.as<float>(), rows, workspace, stream);
  }
}

double seconds_of(MatrixProducts& products, Stopwatch& watch, const Case& one, const Weights& w,
                  const Activations& a, int rows, std::size_t launches) {
  const double all = watch.seconds([&](cudaStream_t stream) {
    for (std::size_t i = 0; i < launches; ++i) enqueue(products, one, w.matrix(i), a, rows, stream);
  });
  return all / static_cast<double>(launches);
}

Limits measure_limits(MatrixProducts& products, Stopwatch& watch) {
  Limits limits;
  {
    constexpr std::size_t kBytes = std::size_t{8} << 30;
    const Buffer data(kBytes), sums(std::size_t{4096} * 4);
    limits.bytes_per_s = kBytes / watch.seconds([&](cudaStream_t stream) {
      require(captiond::read_all(data.data(), kBytes, sums.as<std::uint32_t>(), stream));
    });
  }
  const Case square{"square", Kind::kLinear, 8192, 8192};
  const Weights w(MatrixFormat::kBf16, square);
  const Activations a(products, square, MatrixFormat::kBf16, 8192);
  limits.multiply_adds_per_s =
      8192.0 * 8192.0 * 8192.0 / seconds_of(products, watch, square, w, a, 8192, 8);
  return limits;
}

void print_case(MatrixProducts& products, Stopwatch& watch, const Limits& limits,
                const Format& format, const Case& one, std::span<const int> asked) {
  const Weights w(format.format, one);
  const bool head = one.kind == Kind::kGreedy || one.kind == Kind::kLogits;
  const Activations a(products, one, format.format, head ? kHeadRows : kMostRows);
  constexpr int kRows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 4096};
  for (const int rows : asked.empty() ? std::span<const int>(kRows) : asked) {
    if (head && rows > kHeadRows) break;
    const std::size_t launches =
        rows > 64 ? 4 : std::clamp<std::size_t>((std::size_t{12} << 30) / w.sum(), 4, 200);
    const double took = seconds_of(products, watch, one, w, a, rows, launches);
    const double bytes = static_cast<double>(w.sum());
    const double adds = static_cast<double>(rows) * one.out * one.in;
    const double limit = std::max(bytes / limits.bytes_per_s, adds / limits.multiply_adds_per_s);
    std::printf("| %s | %s | %d | %.1f | %.0f | %.0f | %.2f |\n", format.name.data(),
                one.name.data(), rows, took * 1e6, bytes / took * 1e-9, 2 * adds / took * 1e-12,
                limit / took);
  }
  std::fflush(stdout);
}

// All products of a decode step in their order with the norms between them, attention left out:
// what the products leave to reach of the limit of the whole step.
class Step {
 public:
  Step(MatrixProducts& products, const Format& format) : products_(products) {
    std::vector<ProductShape> shapes;
    for (const Case& one : kCases) {
      if (one.kind == Kind::kLogits) continue;
      const bool full = one.name.ends_with("full");
      const std::size_t copies = one.kind == Kind::kGreedy       ? 1
                                 : full                          ? 8
                                 : one.name.ends_with("sliding") ? 40
                                                                 : 48;
      for (std::size_t i = 0; i < copies; ++i) {
        const MatrixBytes size = matrix_bytes(format.format, one.out, one.in);
        buffers_.push_back(std::make_unique<Buffer>(size.values, 5));
        Matrix matrix{.format = format.format,
                      .values = buffers_.back()->data(),
                      .out = one.out,
                      .in = one.in};
        if (size.scales > 0) {
          buffers_.push_back(std::make_unique<Buffer>(size.scales, 6));
          matrix.scales = buffers_.back()->data();
        }
        bytes_ += static_cast<double>(size.values + size.scales);
        matrices_[static_cast<std::size_t>(&one - kCases)].push_back(matrix);
      }
      shapes.push_back({.format = format.format,
                        .out = one.out,
                        .in = one.in,
                        .gate_up = one.kind == Kind::kGateUp});
    }
    workspace_bytes_ = products.plan(shapes, kStepRows);
    workspace_ = std::make_unique<Buffer>(workspace_bytes_);
    workspace_->zero();
  }
  double bytes() const { return bytes_; }

  void enqueue(int rows, cudaStream_t stream) {
    const ProductWorkspace workspace{.data = workspace_->data(), .bytes = workspace_bytes_};
    auto* const hidden = hidden_.as<Value>();
    auto* const normal = normal_.as<Value>();
    auto* const wide = wide_.as<Value>();
    require(rms_norm(
        {.x = hidden, .weight = weight_.as<Value>(), .y = normal, .width = kHidden, .eps = kEps},
        rows, stream));
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      products_.linear(of_layer(layer, 0), normal, wide, rows, workspace, stream);
      products_.linear(of_layer(layer, 1), wide, normal, rows, workspace, stream);
      seam(rows, true, stream);
      products_.gate_up(matrices_[4][layer], normal, wide, rows, workspace, stream);
      products_.linear(matrices_[5][layer], wide, normal, rows, workspace, stream);
      seam(rows, layer + 1 < kLayers, stream);
    }
    products_.head_greedy({.embedding = matrices_[6][0], .softcap = 30.0F}, hidden,
                          choices_.as<GreedyChoice>(), rows, workspace, stream);
  }

 private:
  using Value = __nv_bfloat16;
  static constexpr std::size_t kLayers = 48, kFullEvery = 6;
  static constexpr float kEps = 1e-6F;

  // Matrix `kind` (0: before attention, 1: after it) of a layer.
  const Matrix& of_layer(std::size_t layer, std::size_t kind) const {
    const std::size_t before = (layer + 1) / kFullEvery;  // of the full ones up to this layer
    if (layer % kFullEvery == kFullEvery - 1) return matrices_[kind * 2 + 1][before - 1];
    return matrices_[kind * 2][layer - before];
  }
  void seam(int rows, bool followed, cudaStream_t stream) {
    require(residual_norm({.sublayer = normal_.as<Value>(),
                           .post_weight = weight_.as<Value>(),
                           .scalar = weight_.as<Value>(),
                           .pre_weight = followed ? weight_.as<Value>() : nullptr,
                           .hidden = hidden_.as<Value>(),
                           .y = followed ? normal_.as<Value>() : nullptr,
                           .width = kHidden,
                           .eps = kEps},
                          rows, stream));
  }

  MatrixProducts& products_;
  std::vector<Matrix> matrices_[std::size(kCases)];
  std::vector<std::unique_ptr<Buffer>> buffers_;
  Buffer hidden_{std::size_t{kStepRows} * kHidden * 2},
      normal_{std::size_t{kStepRows} * kHidden * 2}, wide_{std::size_t{kStepRows} * kInner * 2},
      active_{std::size_t{kStepRows} * kInner * 2}, weight_{std::size_t{kHidden} * 2},
      choices_{std::size_t{kStepRows} * 8};
  std::unique_ptr<Buffer> workspace_;
  std::size_t workspace_bytes_ = 0;
  double bytes_ = 0;
};

void print_step(MatrixProducts& products, Stopwatch& watch, const Limits& limits,
                const Format& format, std::span<const int> asked) {
  Step step(products, format);
  constexpr int kRows[] = {1, 2, 4, 8, 16, 32, 64, 100, 128, 256};
  for (const int rows : asked.empty() ? std::span<const int>(kRows) : asked) {
    const double took = watch.seconds([&](cudaStream_t stream) { step.enqueue(rows, stream); });
    std::printf("| %s | %d | %.3f | %.0f | %.1f | %.2f |\n", format.name.data(), rows, took * 1e3,
                step.bytes() / took * 1e-9, rows / took, step.bytes() / limits.bytes_per_s / took);
  }
  std::fflush(stdout);
}

constexpr std::string_view kTables[] = {"step", "each"};

bool is_format(std::string_view word) {
  return std::any_of(std::begin(kFormats), std::end(kFormats),
                     [&](const Format& format) { return format.name == word; });
}
bool is_table(std::string_view word) {
  return std::find(std::begin(kTables), std::end(kTables), word) != std::end(kTables);
}

// The number that `word` is, or 0 when it is none from 1 to `most`.
int rows_of(std::string_view word, int most) {
  int rows = 0;
  const auto result = std::from_chars(word.begin(), word.end(), rows);
  return result.ec == std::errc() && result.ptr == word.end() && rows > 0 && rows <= most ? rows
                                                                                          : 0;
}

// Whether `name` was asked for, or nothing of its kind was.
template <typename Kind>
bool wanted(std::span<const std::string_view> words, std::string_view name, Kind is_of_kind) {
  return std::find(words.begin(), words.end(), name) != words.end() ||
         std::none_of(words.begin(), words.end(), is_of_kind);
}

void bench(std::span<const std::string_view> words) {
  std::vector<int> rows;
  for (const std::string_view word : words)
    if (const int count = rows_of(word, kMostRows); count > 0) rows.push_back(count);
  MatrixProducts products;
  Stopwatch watch;
  const Limits limits = measure_limits(products, watch);
  std::printf("memory is read at %.0f GB/s, bf16 multiplied at %.0f TFLOP/s\n",
              limits.bytes_per_s * 1e-9, 2e-12 * limits.multiply_adds_per_s);
  if (wanted(words, "step", is_table)) {
    std::puts(
        "\n| weights | all products of a step, rows | ms | GB/s | rows/s | limit ÷ measured |");
    std::puts("|---|---|---|---|---|---|");
    for (const Format& format : kFormats)
      if (wanted(words, format.name, is_format)) print_step(products, watch, limits, format, rows);
  }
  if (wanted(words, "each", is_table)) {
    std::puts("\n| weights | product | rows | µs | GB/s | TFLOP/s | limit ÷ measured |");
    std::puts("|---|---|---|---|---|---|---|");
    for (const Format& format : kFormats)
      for (const Case& one : kCases)
        if (wanted(words, format.name, is_format))
          print_case(products, watch, limits, format, one, rows);
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    const std::vector<std::string_view> asked(words + 1, words + count);
    const bool step = wanted(asked, "step", is_table);
    for (const std::string_view word : asked)
      if (!is_format(word) && !is_table(word) && rows_of(word, step ? kStepRows : kMostRows) == 0)
        throw std::invalid_argument(
            "bench_kernels knows bf16, fp8, int8, int4, step, apart, each, and numbers of rows up "
            "to "
            "4096 (with step: 256), not " +
            std::string(word) + ".");
    bench(asked);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_kernels: %s\n", error.what());
    return 2;
  }
}
