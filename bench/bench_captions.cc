// How many live caption streams one engine carries: the largest number whose updates are done
// within a limit in 95 of 100 cases, beside the number that the multiply-adds and the key and value
// bytes of the same streams allow at the rates measured just before. What a stream asks for:
// bench/caption_streams.h. Doubles the number until it is too much, then halves the interval.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/caption_streams.h"
#include "bench/device_rates.h"
#include "bench/step_limit.h"
#include "model/engine.h"
#include "model/option_names.h"

namespace {

using captiond::CaptionLatencies;
using captiond::CaptionLoad;
using captiond::CaptionStreams;
using captiond::Device;
using captiond::DeviceRates;
using captiond::Engine;
using captiond::StepLimit;

constexpr double kShare = 0.95;  // of the updates that have to be in time

struct Setting {
  std::size_t first = 100;  // streams
  std::size_t most = 512;
  double limit_ms = 300;
  double warm_s = 1.5;
  double measured_s = 5;
  double budget_s = 60;
  bool only_first = false;
};

// The most streams that the device could compute, if it did nothing else and nothing twice.
double limit_streams(const StepLimit& limit, const CaptionLoad& load) {
  constexpr double kPatches = 25;
  const double tokens = static_cast<double>(load.tokens_least + load.tokens_most) / 2;
  double stream_s = 0;  // of the device for one stream and second
  for (std::size_t age = 0; age < load.segment_s; ++age) {
    const double before = static_cast<double>(load.prompt) + kPatches * static_cast<double>(age);
    const auto text = static_cast<double>(load.text_per_s * age);
    const double suffix = static_cast<double>(load.suffix) + text;
    stream_s += limit.rows_seconds(kPatches, before, 0);
    // Suffix and draft; the head for what the draft verifies.
    stream_s += limit.rows_seconds(suffix + tokens, before + kPatches, tokens + 1);
    stream_s += limit.rows_seconds(tokens - 1, before + kPatches + suffix, tokens - 1);
    stream_s += (tokens - 1) *
                limit.keys_seconds(static_cast<std::size_t>(before + kPatches + suffix + tokens));
  }
  return static_cast<double>(load.segment_s) / stream_s;
}

class Search {
 public:
  Search(Engine& engine, const CaptionLoad& load, const Setting& setting)
      : engine_(engine), setting_(setting), streams_(engine, load) {}

  // The largest number of streams that was in time; 0: none.
  std::size_t run() {
    std::size_t good = 0;
    std::size_t bad = setting_.most + 1;
    std::size_t next = std::min(setting_.first, setting_.most);
    while (next > good && next < bad) {
      (in_time(next) ? good : bad) = next;
      if (setting_.only_first || spent_s() > setting_.budget_s) break;
      // Within five of a hundred is near enough.
      if (bad <= setting_.most && bad - good <= std::max<std::size_t>(1, good / 20)) break;
      next = bad > setting_.most ? std::min(2 * good, setting_.most) : (good + bad) / 2;
    }
    return good;
  }

  nlohmann::json out;

 private:
  double spent_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }

  bool in_time(std::size_t count) {
    streams_.resize(count);
    const double limit_s = setting_.limit_ms / 1e3;
    const auto began = std::chrono::steady_clock::now();
    const Engine::Statistics before = engine_.statistics();
    const CaptionLatencies updates =
        streams_.run(setting_.warm_s, setting_.measured_s, limit_s, 1.0 - kShare);
    const Engine::Statistics after = engine_.statistics();
    const double took_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const bool good = updates.quantile(kShare) <= limit_s;
    print(count, updates, before, after, took_s, good);
    return good;
  }

  void print(std::size_t count, const CaptionLatencies& updates, const Engine::Statistics& before,
             const Engine::Statistics& after, double took_s, bool good) {
    const auto steps = static_cast<double>(std::max<std::uint64_t>(1, after.steps - before.steps));
    const auto rows = static_cast<double>(after.rows - before.rows);
    const double device_s = after.device_s - before.device_s;
    const double forward_s = after.forward_s - before.forward_s;
    const double busy_s = after.busy_s - before.busy_s;
    const double host_s = busy_s - (device_s > 0 ? device_s : forward_s);
    std::fprintf(stderr, "%7zu %8.0f %8.0f %8.0f %7zu %7.2f %8.2f %9.0f %8.0f %9.2f %9.2f %s\n",
                 count, 1e3 * updates.quantile(0.5), 1e3 * updates.quantile(kShare),
                 1e3 * updates.quantile(0.99), updates.missed, busy_s / took_s, device_s / took_s,
                 rows / took_s, rows / steps, 1e3 * busy_s / steps, 1e3 * host_s / steps,
                 good ? "in time" : "late");
    out["runs"].push_back({{"streams", count},
                           {"p50_ms", 1e3 * updates.quantile(0.5)},
                           {"p95_ms", 1e3 * updates.quantile(kShare)},
                           {"p99_ms", 1e3 * updates.quantile(0.99)},
                           {"updates", updates.updates()},
                           {"missed", updates.missed},
                           {"engine_busy", busy_s / took_s},
                           {"gpu_busy", device_s / took_s},
                           {"rows_per_s", rows / took_s},
                           {"rows_per_step", rows / steps},
                           {"step_ms", 1e3 * busy_s / steps},
                           {"host_ms", 1e3 * host_s / steps}});
  }

  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  Engine& engine_;
  const Setting setting_;
  CaptionStreams streams_;
};

void add_options(CLI::App& app, captiond::EngineOptions& options, Setting& setting,
                 CaptionLoad& load) {
  app.add_option("--device", options.device, "cuda (default) or cpu")
      ->transform(CLI::CheckedTransformer(captiond::device_names()));
  app.add_option("--weights", options.weights, "bf16 (default), fp8, int8 or int4")
      ->transform(CLI::CheckedTransformer(captiond::weight_format_names()));
  app.add_option("--kv", options.kv, "keys and values: bf16 (default) or fp8")
      ->transform(CLI::CheckedTransformer(captiond::kv_format_names()));
  app.add_option("--step-rows", options.step_rows_max, "rows of a step")->capture_default_str();
  app.add_option("--kv-positions", options.kv_positions, "KV budget; 0: for --most streams")
      ->capture_default_str();
  app.add_option("--first", setting.first, "streams to begin with")->capture_default_str();
  app.add_option("--most", setting.most, "streams to go to")->capture_default_str();
  app.add_flag("--only-first", setting.only_first, "measure that number alone");
  app.add_option("--limit-ms", setting.limit_ms, "an update's time")->capture_default_str();
  app.add_option("--warm", setting.warm_s, "seconds before each measurement")
      ->capture_default_str();
  app.add_option("--seconds", setting.measured_s, "of each measurement")->capture_default_str();
  app.add_option("--budget", setting.budget_s, "seconds after which none is begun")
      ->capture_default_str();
  app.add_option("--segment", load.segment_s, "seconds of a segment")->capture_default_str();
  app.add_option("--text-per-second", load.text_per_s,
                 "stable tokens of a segment's second, given with every later update")
      ->capture_default_str();
}

int run(int argc, char** argv) {
  CLI::App app("Finds how many live caption streams a checkpoint carries on this machine.");
  captiond::EngineOptions options;
  options.device = Device::kCuda;
  options.step_rows_max = 512;
  options.kv_positions = 0;
  Setting setting;
  CaptionLoad load;
  std::string model;
  bool json = false;
  app.add_option("--model", model, "checkpoint folder")->required();
  app.add_flag("--json", json, "print JSON to stdout as well");
  add_options(app, options, setting, load);
  CLI11_PARSE(app, argc, argv);
  options.model = model;
  const bool cuda = options.device == Device::kCuda;
  options.dtype = cuda ? captiond::Dtype::kBfloat16 : captiond::Dtype::kFloat32;
  if (options.kv_positions == 0) {
    // Two pages more for what the update's fork writes on its own, two for the prompt.
    options.kv_positions = setting.most * (CaptionStreams::positions_max(load) + 64);
  }
  options.report = [](const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
  };

  const DeviceRates rates = cuda ? captiond::device_rates() : captiond::host_rates(0);
  std::fprintf(stderr, "read %.0f GB/s, products %.1f TFLOP/s, in fp8 %.1f\n",
               rates.read_bytes_per_s / 1e9, 2 * rates.multiply_adds_per_s / 1e12,
               2 * rates.fp8_multiply_adds_per_s / 1e12);
  const std::shared_ptr<Engine> engine = Engine::open(options);
  const double kv_bytes = options.kv == captiond::KvFormat::kFp8 ? 1.0 : cuda ? 2.0 : 4.0;
  const StepLimit limit(engine->config().text, rates, options.weights, kv_bytes);
  std::fprintf(stderr,
               "a stream: %.0f rows a second, at most %zu positions; an update: %zu to %zu tokens\n"
               "%7s %8s %8s %8s %7s %7s %8s %9s %8s %9s %9s\n",
               CaptionStreams::rows_per_s(load), CaptionStreams::positions_max(load),
               load.tokens_least, load.tokens_most, "streams", "p50 ms", "p95 ms", "p99 ms",
               "missed", "busy", "GPU busy", "rows/s", "rows", "step ms", "host ms");
  const std::size_t free_before = cuda ? captiond::device_free_bytes() : 0;
  Search search(*engine, load, setting);
  const std::size_t found = search.run();
  if (cuda) {
    std::fprintf(stderr, "GPU memory free after the start %.3f GB, now %.3f GB\n",
                 static_cast<double>(free_before) / 1e9,
                 static_cast<double>(captiond::device_free_bytes()) / 1e9);
  }
  const double best = limit_streams(limit, load);
  std::fprintf(stderr, "%zu streams of %.0f that the rates allow: %.3f\n", found, best,
               static_cast<double>(found) / best);
  search.out["streams"] = found;
  search.out["limit_streams"] = best;
  search.out["rows_per_s"] = CaptionStreams::rows_per_s(load);
  search.out["text_per_s"] = load.text_per_s;
  if (json) std::printf("%s\n", search.out.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_captions: %s\n", error.what());
    return 1;
  }
}
