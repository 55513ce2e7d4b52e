// Decode by batch and context, prefill by length, both at once, load time and memory of a
// checkpoint on one GPU, each beside its limit: the bytes that a step has to read at the read
// bandwidth, or the multiply-adds at the rate of a large bfloat16 product (fp8 products may beat
// it), both measured just before. Prints one table, or JSON. Contexts are prefilled one by one with
// ids of their own, so that nobody reads keys that a neighbour has brought into the cache. "host
// ms" is the time of a step in which the GPU had nothing to do.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/device_rates.h"
#include "bench/step_limit.h"
#include "model/engine.h"
#include "model/option_names.h"

namespace {

using captiond::Context;
using captiond::DeviceRates;
using captiond::Engine;
using captiond::StepLimit;
using captiond::TokenId;

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Bench {
 public:
  Bench(Engine& engine, const StepLimit& limit, std::size_t tokens)
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
      const Engine::Statistics before = engine_.statistics();
      const double took = seconds_of([&] { made = generate(contexts, batch); });
      const Engine::Statistics after = engine_.statistics();
      const double host_ms = 1e3 *
                             (after.busy_s - before.busy_s - after.device_s + before.device_s) /
                             static_cast<double>(after.steps - before.steps);
      const double rate = static_cast<double>(made) / took;
      const double best = static_cast<double>(batch) / limit_.decode_seconds(batch, length);
      out["decode"].push_back({{"batch", batch},
                               {"context", length},
                               {"tokens_per_s", rate},
                               {"limit_tokens_per_s", best},
                               {"measured_over_limit", rate / best},
                               {"host_ms_per_step", host_ms}});
      print("decode", batch, length, rate, best, host_ms);
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
    print("prefill", 1, length, rate, best, 0.0);
  }

  // `batch` contexts of about `context` positions decode while another one reads `length`.
  void mixed(std::size_t batch, std::size_t context, std::size_t length) {
    using Clock = std::chrono::steady_clock;
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<std::vector<Clock::time_point>> times(batch);
    for (std::size_t i = 0; i < batch; ++i) {
      contexts.push_back(engine_.new_context());
      contexts.back()->append(prompt(context));
    }
    for (const auto& each : contexts) each->flush().get();
    std::vector<std::future<captiond::Generation>> pending;
    for (std::size_t i = 0; i < batch; ++i) {
      captiond::GenerateOptions options;
      options.max_tokens = 10000;  // cancelled before
      options.on_token = [&times, i](TokenId) { times[i].push_back(Clock::now()); };
      pending.push_back(contexts[i]->generate(std::move(options)));
    }
    const std::vector<TokenId> ids = prompt(length);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const Clock::time_point began = Clock::now();
    const auto reader = engine_.new_context();
    reader->append(ids);
    reader->flush().get();
    const Clock::time_point ended = Clock::now();
    contexts.clear();
    for (auto& future : pending) future.get();
    std::size_t made = 0;
    double pause_s = 0;
    for (const auto& of : times) {
      for (std::size_t i = 1; i < of.size(); ++i) {
        if (of[i] < began || of[i - 1] > ended) continue;
        ++made;
        pause_s = std::max(pause_s, std::chrono::duration<double>(of[i] - of[i - 1]).count());
      }
    }
    const double took = std::chrono::duration<double>(ended - began).count();
    const double tokens_s =
        static_cast<double>(made) *
        (limit_.rows_seconds(1, static_cast<double>(context), 1) + limit_.keys_seconds(context));
    const auto rows = static_cast<double>(made + length);
    const double best = rows / (limit_.prefill_seconds(length) + tokens_s);
    out["mixed"].push_back({{"batch", batch},
                            {"context", context},
                            {"length", length},
                            {"rows_per_s", rows / took},
                            {"limit_rows_per_s", best},
                            {"measured_over_limit", rows / took / best},
                            {"decode_tokens_per_s", static_cast<double>(made) / took},
                            {"longest_pause_ms", 1e3 * pause_s}});
    print("mixed", batch, length, rows / took, best, 0.0);
    std::fprintf(stderr, "  of these %.0f decoded; longest pause between two tokens %.0f ms\n",
                 static_cast<double>(made) / took, 1e3 * pause_s);
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
                    double best, double host_ms) {
    std::fprintf(stderr, "%-8s %6zu %8zu %12.1f %12.1f %7.3f %8.3f\n", what, batch, length, rate,
                 best, rate / best, host_ms);
  }

  Engine& engine_;
  const StepLimit& limit_;
  const std::size_t tokens_;
  std::mt19937 random_{1};
};

int run(int argc, char** argv) {
  CLI::App app("Measures a checkpoint on one GPU beside the GPU's own limits.");
  captiond::EngineOptions options;
  std::string model;
  std::size_t tokens = 64;
  std::vector<std::size_t> batches = {1, 2, 4, 8, 16, 32, 64, 100};
  std::vector<std::size_t> long_batches = {1, 4};
  std::vector<std::size_t> longest_batches = {0};
  std::size_t context = 1024;
  std::size_t mixed = 0;
  std::vector<std::size_t> lengths = {512, 4096};
  options.kv_positions = 131072;
  options.step_rows_max = 2048;
  options.prompt_rows_max = 4096;
  bool json = false;
  app.add_option("--model", model, "checkpoint folder")->required();
  app.add_option("--tokens", tokens, "tokens decoded a context")->capture_default_str();
  app.add_option("--batches", batches, "contexts of --context positions, 0: none")
      ->capture_default_str();
  app.add_option("--context", context, "positions of these")->capture_default_str();
  app.add_option("--long-batches", long_batches, "contexts of 8192, 0: none")
      ->capture_default_str();
  app.add_option("--longest-batches", longest_batches, "contexts of 32768, 0: none")
      ->capture_default_str();
  app.add_option("--mixed", mixed,
                 "contexts of 1024 that decode beside a prompt of 16384, 0 (default): none")
      ->capture_default_str();
  app.add_option("--lengths", lengths, "of prompts, 0: none")->capture_default_str();
  app.add_option("--kv-positions", options.kv_positions, "KV budget")->capture_default_str();
  app.add_option("--step-rows", options.step_rows_max, "rows of a step")->capture_default_str();
  app.add_option("--prompt-rows", options.prompt_rows_max, "rows of a step without decodes")
      ->capture_default_str();
  app.add_option("--weights", options.weights, "bf16 (default), fp8, int8 or int4")
      ->transform(CLI::CheckedTransformer(captiond::weight_format_names()));
  app.add_option("--kv", options.kv, "keys and values: bf16 (default) or fp8")
      ->transform(CLI::CheckedTransformer(captiond::kv_format_names()));
  app.add_flag("--json", json, "print JSON to stdout as well");
  CLI11_PARSE(app, argc, argv);
  for (auto* sizes : {&batches, &long_batches, &longest_batches, &lengths})
    std::erase(*sizes, std::size_t{0});
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
  std::fprintf(stderr, "opened in %.2f s\n%-8s %6s %8s %12s %12s %7s %8s\n", load_s, "what",
               "batch", "length", "measured /s", "limit /s", "ratio", "host ms");
  const double kv_bytes = options.kv == captiond::KvFormat::kFp8 ? 1.0 : 2.0;
  const StepLimit limit(engine->config().text, rates, options.weights, kv_bytes);
  Bench bench(*engine, limit, tokens);
  bench.out["load_s"] = load_s;
  bench.out["read_gb_s"] = rates.read_bytes_per_s / 1e9;
  bench.out["copy_gb_s"] = rates.copy_bytes_per_s / 1e9;
  bench.out["tflop_s"] = 2 * rates.multiply_adds_per_s / 1e12;
  if (!batches.empty()) bench.decode(batches, context);
  if (!long_batches.empty()) bench.decode(long_batches, 8192);
  if (!longest_batches.empty()) bench.decode(longest_batches, 32768);
  for (const std::size_t length : lengths) bench.prefill(length);
  if (mixed > 0) bench.mixed(mixed, 1024, 16384);
  if (json) std::printf("%s\n", bench.out.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_decode: %s\n", error.what());
    return 1;
  }
}
