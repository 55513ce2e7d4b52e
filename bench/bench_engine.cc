// Decode and prefill of one checkpoint on this machine, each beside its limit: decode beside the
// time to read the weights once from memory, prefill beside the multiply-adds at the rate of this
// machine's own float32 matrix product. Prints one table, or JSON for bench/beside_transformers.py.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bench/matrix_rate.h"
#include "bench/memory_bandwidth.h"
#include "model/engine.h"

namespace {

using captiond::Context;
using captiond::Engine;
using captiond::TokenId;

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Ordinary text of `length` tokens; what it says does not matter to the time.
std::vector<TokenId> prompt_of(const Engine& engine, std::size_t length) {
  const std::vector<TokenId> line =
      engine.tokenizer().encode("The committee meets on Tuesday at nine to look at the plans. ");
  std::vector<TokenId> ids;
  while (ids.size() < length) ids.push_back(line[ids.size() % line.size()]);
  return ids;
}

// Seconds that `contexts` contexts need for `tokens` tokens each, decoded together after a prompt.
// A context that meets the end token early is counted by what it really produced.
struct DecodeResult {
  double seconds = 0;
  std::size_t tokens = 0;
};
DecodeResult decode(Engine& engine, std::size_t contexts, std::size_t prompt, std::size_t tokens) {
  std::vector<std::unique_ptr<Context>> open;
  for (std::size_t i = 0; i < contexts; ++i) {
    open.push_back(engine.new_context());
    open.back()->append(prompt_of(engine, prompt));
    open.back()->flush().get();
  }
  DecodeResult result;
  result.seconds = seconds_of([&] {
    std::vector<std::future<captiond::Generation>> pending;
    captiond::GenerateOptions options;
    options.max_tokens = tokens;
    options.sampling.greedy = false;  // a random walk rarely meets the end token
    options.sampling.temperature = 50.0;
    for (std::size_t i = 0; i < contexts; ++i) {
      options.sampling.seed = i + 1;
      pending.push_back(open[i]->generate(options));
    }
    for (auto& future : pending) result.tokens += future.get().tokens.size();
  });
  return result;
}

double prefill_seconds(Engine& engine, std::size_t length) {
  double best = 1e9;
  for (int pass = 0; pass < 3; ++pass) {
    const auto context = engine.new_context();
    const auto ids = prompt_of(engine, length);
    best = std::min(best, seconds_of([&] {
                      context->append(ids);
                      context->flush().get();
                    }));
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures decode and prefill of a checkpoint beside this machine's limits.");
  captiond::EngineOptions options;
  std::string model = "assets/demo-model";
  std::size_t tokens = 200;
  bool json = false;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  app.add_option("--model", model, "checkpoint folder")->capture_default_str();
  app.add_option("--tokens", tokens, "tokens decoded a context")->capture_default_str();
  app.add_option("--threads", threads, "CPU threads")->capture_default_str();
  app.add_flag("--json", json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  options.model = model;
  options.threads = threads;

  const double bandwidth = captiond::read_bandwidth_bytes_per_s(threads);
  const double flops = captiond::matrix_multiply_adds_per_s(threads);
  std::shared_ptr<Engine> engine;
  const double load_s = seconds_of([&] { engine = Engine::open(options); });
  const double parameters =
      static_cast<double>(captiond::Checkpoint::open(model)->weight_bytes()) / 2;
  const double weight_bytes = parameters * 4;  // float32 on the CPU
  const captiond::TextConfig& text = engine->config().text;
  // A prompt's rows look their embedding up and need no logits.
  const double body = parameters - static_cast<double>(text.vocab_size * text.hidden_size);

  nlohmann::json out;
  out["load_s"] = load_s;
  out["bandwidth_gb_s"] = bandwidth / 1e9;
  out["multiply_adds_g_s"] = flops / 1e9;
  decode(*engine, 1, 64, 20);  // warm-up
  for (const std::size_t contexts : {1, 2, 4, 8, 16}) {
    const DecodeResult run = decode(*engine, contexts, 64, tokens);
    const double steps = static_cast<double>(run.tokens) / static_cast<double>(contexts);
    const double limit_s =
        std::max(weight_bytes / bandwidth, static_cast<double>(contexts) * parameters / flops);
    out["decode"].push_back({{"contexts", contexts},
                             {"tokens_per_s", static_cast<double>(run.tokens) / run.seconds},
                             {"limit_tokens_per_s", static_cast<double>(contexts) / limit_s},
                             {"measured_over_limit", limit_s * steps / run.seconds}});
  }
  for (const std::size_t length : {64, 256, 512}) {
    const double took = prefill_seconds(*engine, length);
    const double limit_s =
        std::max(weight_bytes / bandwidth, static_cast<double>(length) * body / flops);
    out["prefill"].push_back({{"rows", length},
                              {"rows_per_s", static_cast<double>(length) / took},
                              {"limit_rows_per_s", static_cast<double>(length) / limit_s},
                              {"measured_over_limit", limit_s / took}});
  }
  if (json) {
    std::printf("%s\n", out.dump().c_str());
    return 0;
  }
  std::printf(
      "%s: loaded in %.2f s; memory %.1f GB/s, float32 %.1f G multiply-adds/s, %d threads\n",
      model.c_str(), load_s, bandwidth / 1e9, flops / 1e9, threads);
  std::printf("%-10s %8s %14s %14s %10s\n", "what", "size", "measured /s", "limit /s", "ratio");
  for (const char* what : {"decode", "prefill"}) {
    for (const auto& row : out[what]) {
      const bool is_decode = std::string(what) == "decode";
      std::printf("%-10s %8d %14.1f %14.1f %10.3f\n", what,
                  row[is_decode ? "contexts" : "rows"].get<int>(),
                  row[is_decode ? "tokens_per_s" : "rows_per_s"].get<double>(),
                  row[is_decode ? "limit_tokens_per_s" : "limit_rows_per_s"].get<double>(),
                  row["measured_over_limit"].get<double>());
    }
  }
  return 0;
}
