// Decode by batch and context, prefill by length, load time and memory of a checkpoint on one GPU,
// each beside its limit: the bytes that a step has to read at the read bandwidth, or the
// multiply-adds at the rate of a large bfloat16 product (fp8 products may beat it), both measured
// just before. Prints one table, or JSON. Contexts are prefilled one by one with ids of their own,
// so that nobody reads keys that a neighbour has brought into the cache.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "bench/device_rates.h"
#include "model/engine.h"

namespace {

using captiond::AttentionConfig;
using captiond::Context;
using captiond::DeviceRates;
using captiond::Engine;
using captiond::LayerType;
using captiond::TextConfig;
using captiond::TokenId;

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// What one step costs at least.
class Limit {
 public:
  Limit(const TextConfig& text, const DeviceRates& rates, captiond::WeightFormat format)
      : text_(text), rates_(rates), weight_bytes_(bytes_of(format)) {
    for (const LayerType type : text.layer_types) {
      const AttentionConfig& attention = text.attention(type);
      const std::int64_t projections =
          text.heads + attention.kv_heads + (attention.value_is_key ? 0 : attention.kv_heads);
      body_ += static_cast<double>(text.hidden_size) *
               static_cast<double>((projections + text.heads) * attention.head_dim +
                                   3 * text.intermediate_size);
    }
    head_ = static_cast<double>(text.vocab_size * text.hidden_size);
  }

  // `contexts` rows that each see `length` keys, with the head.
  double decode_seconds(std::size_t contexts, std::size_t length) const {
    const double weights = body_ + head_;
    const auto rows = static_cast<double>(contexts);
    const double products = std::max(weight_bytes_ * weights / rates_.read_bytes_per_s,
                                     rows * weights / rates_.multiply_adds_per_s);
    return products + rows * key_value_bytes(length) / rates_.read_bytes_per_s;
  }

  // One prompt of `length`, without the head.
  double prefill_seconds(std::size_t length) const {
    const auto rows = static_cast<double>(length);
    const double adds = rows * body_ + attention_adds(length);
    return std::max(weight_bytes_ * body_ / rates_.read_bytes_per_s,
                    adds / rates_.multiply_adds_per_s);
  }

 private:
  // Of one weight; int4 has a bf16 scale for 32 of them.
  static double bytes_of(captiond::WeightFormat format) {
    if (format == captiond::WeightFormat::kBf16) return 2.0;
    return format == captiond::WeightFormat::kInt4 ? 0.5 + 2.0 / 32 : 1.0;
  }
  double seen(LayerType type, std::size_t length) const {
    const auto window = static_cast<std::size_t>(text_.sliding_window);
    return static_cast<double>(type == LayerType::kSliding ? std::min(length, window) : length);
  }
  double key_value_bytes(std::size_t length) const {
    double bytes = 0;
    for (const LayerType type : text_.layer_types) {
      const AttentionConfig& attention = text_.attention(type);
      bytes +=
          seen(type, length) * 2 * 2 * static_cast<double>(attention.kv_heads * attention.head_dim);
    }
    return bytes;
  }
  double attention_adds(std::size_t length) const {
    double adds = 0;
    for (const LayerType type : text_.layer_types) {
      const double whole = seen(type, length);  // the first rows see fewer: a triangle
      const double keys = whole * (static_cast<double>(length) - whole / 2);
      adds += keys * 2 * static_cast<double>(text_.heads * text_.attention(type).head_dim);
    }
    return adds;
  }

  const TextConfig& text_;
  const DeviceRates rates_;
  const double weight_bytes_;
  double body_ = 0;
  double head_ = 0;
};

class Bench {
 public:
  Bench(Engine& engine, const Limit& limit, std::size_t tokens)
      : engine_(engine), limit_(limit), tokens_(tokens) {}

  // Batches in rising order, at a context of about `length`.
  void decode(const std::vector<std::size_t>& batches, std::size_t length) {
    std::vector<std::unique_ptr<Context>> contexts;
    for (const std::size_t batch : batches) {
      while (contexts.size() < batch) {
        contexts.push_back(engine_.new_context());
        contexts.back()->append(prompt(length));
      }
      for (const auto& context : contexts) context->flush().get();
      std::size_t made = 0;
      const double took = seconds_of([&] { made = generate(contexts, batch); });
      const double rate = static_cast<double>(made) / took;
      const double best = static_cast<double>(batch) / limit_.decode_seconds(batch, length);
      out["decode"].push_back({{"batch", batch},
                               {"context", length},
                               {"tokens_per_s", rate},
                               {"limit_tokens_per_s", best},
                               {"measured_over_limit", rate / best}});
      print("decode", batch, length, rate, best);
    }
  }

  void prefill(std::size_t length) {
    double best_s = 1e9;
    for (int pass = 0; pass < 3; ++pass) {
      const std::vector<TokenId> ids = prompt(length);
      const auto context = engine_.new_context();
      best_s = std::min(best_s, seconds_of([&] {
                          context->append(ids);
                          context->flush().get();
                        }));
    }
    const double rate = static_cast<double>(length) / best_s;
    const double best = static_cast<double>(length) / limit_.prefill_seconds(length);
    out["prefill"].push_back({{"length", length},
                              {"tokens_per_s", rate},
                              {"limit_tokens_per_s", best},
                              {"measured_over_limit", rate / best}});
    print("prefill", 1, length, rate, best);
  }

  nlohmann::json out;

 private:
  std::size_t generate(const std::vector<std::unique_ptr<Context>>& contexts, std::size_t batch) {
    std::vector<std::future<captiond::Generation>> pending;
    captiond::GenerateOptions options;
    options.max_tokens = tokens_;
    for (std::size_t i = 0; i < batch; ++i) pending.push_back(contexts[i]->generate(options));
    std::size_t made = 0;
    for (auto& future : pending) made += future.get().tokens.size();
    return made;
  }

  std::vector<TokenId> prompt(std::size_t length) {
    const auto vocabulary = static_cast<TokenId>(engine_.config().text.vocab_size);
    // Away from the special tokens at both ends.
    std::uniform_int_distribution<TokenId> any(vocabulary / 16, vocabulary / 4 * 3);
    std::vector<TokenId> ids(length);
    for (TokenId& id : ids) id = any(random_);
    return ids;
  }

  static void print(const char* what, std::size_t batch, std::size_t length, double rate,
                    double best) {
    std::fprintf(stderr, "%-8s %6zu %8zu %12.1f %12.1f %7.3f\n", what, batch, length, rate, best,
                 rate / best);
  }

  Engine& engine_;
  const Limit& limit_;
  const std::size_t tokens_;
  std::mt19937 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures a checkpoint on one GPU beside the GPU's own limits.");
  captiond::EngineOptions options;
  std::string model;
  std::size_t tokens = 64;
  std::vector<std::size_t> batches = {1, 2, 4, 8, 16, 32, 64, 100};
  std::vector<std::size_t> long_batches = {1, 4};
  std::vector<std::size_t> lengths = {512, 4096};
  options.kv_positions = 131072;
  options.step_rows_max = 2048;
  bool json = false;
  app.add_option("--model", model, "checkpoint folder")->required();
  app.add_option("--tokens", tokens, "tokens decoded a context")->capture_default_str();
  app.add_option("--batches", batches, "contexts of 1024 positions, 0: none")
      ->capture_default_str();
  app.add_option("--long-batches", long_batches, "contexts of 8192, 0: none")
      ->capture_default_str();
  app.add_option("--lengths", lengths, "of prompts, 0: none")->capture_default_str();
  app.add_option("--kv-positions", options.kv_positions, "KV budget")->capture_default_str();
  app.add_option("--step-rows", options.step_rows_max, "rows of a step")->capture_default_str();
  const std::map<std::string, captiond::WeightFormat> formats = {
      {"bf16", captiond::WeightFormat::kBf16},
      {"fp8", captiond::WeightFormat::kFp8},
      {"int8", captiond::WeightFormat::kInt8},
      {"int4", captiond::WeightFormat::kInt4}};
  app.add_option("--weights", options.weights, "bf16 (default), fp8, int8 or int4")
      ->transform(CLI::CheckedTransformer(formats));
  app.add_flag("--json", json, "print JSON to stdout as well");
  CLI11_PARSE(app, argc, argv);
  for (auto* sizes : {&batches, &long_batches, &lengths}) std::erase(*sizes, std::size_t{0});
  options.model = model;
  options.device = captiond::Device::kCuda;
  options.dtype = captiond::Dtype::kBfloat16;
  options.report = [](const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
  };

  const DeviceRates rates = captiond::device_rates();
  std::fprintf(stderr, "read %.0f GB/s, copy %.0f GB/s, bfloat16 %.0f TFLOP/s\n",
               rates.read_bytes_per_s / 1e9, rates.copy_bytes_per_s / 1e9,
               2 * rates.multiply_adds_per_s / 1e12);
  std::shared_ptr<Engine> engine;
  const double load_s = seconds_of([&] { engine = Engine::open(options); });
  std::fprintf(stderr, "opened in %.2f s\n%-8s %6s %8s %12s %12s %7s\n", load_s, "what", "batch",
               "length", "measured /s", "limit /s", "ratio");
  const Limit limit(engine->config().text, rates, options.weights);
  Bench bench(*engine, limit, tokens);
  bench.out["load_s"] = load_s;
  bench.out["read_gb_s"] = rates.read_bytes_per_s / 1e9;
  bench.out["copy_gb_s"] = rates.copy_bytes_per_s / 1e9;
  bench.out["tflop_s"] = 2 * rates.multiply_adds_per_s / 1e12;
  if (!batches.empty()) bench.decode(batches, 1024);
  if (!long_batches.empty()) bench.decode(long_batches, 8192);
  for (const std::size_t length : lengths) bench.prefill(length);
  if (json) std::printf("%s\n", bench.out.dump().c_str());
  return 0;
}
