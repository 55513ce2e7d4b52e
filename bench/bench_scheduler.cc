// What the engine's own thread costs a step with hundreds of caption streams: the loop, the
// scheduler and the pages as they are, and a forward pass that only waits as long as one of the 12B
// on a GPU would take. Prints the time of a step in which such a GPU would have nothing to do.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/caption_streams.h"
#include "model/context_handle.h"
#include "model/engine_loop.h"

namespace {

using captiond::CaptionLatencies;
using captiond::CaptionLoad;
using captiond::CaptionStreams;
using captiond::Engine;
using captiond::RowOutput;
using captiond::TokenId;

constexpr std::size_t kHidden = 3840;
constexpr std::int64_t kVocabulary = 262144;

// Waits; says the same token for every row.
class WaitingForward final : public captiond::Forward {
 public:
  WaitingForward(double step_ms, double row_us) : step_s_(step_ms / 1e3), row_s_(row_us / 1e6) {}

  void run(const captiond::Step& step, const captiond::RowSink& sink) override {
    const double time_s = std::max(step_s_, row_s_ * static_cast<double>(step.rows()));
    const auto began = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(time_s));
    waited_ += std::chrono::steady_clock::now() - began;
    captiond::RowResult result{
        .hidden = hidden_, .finite = true, .choice = kVocabulary / 2, .logits = {}};
    const std::size_t results = step.heads.size() + step.outputs.size();
    for (std::size_t i = 0; i < results; ++i) sink(i, result);
  }
  double device_seconds() const override { return std::chrono::duration<double>(waited_).count(); }

 private:
  const double step_s_;
  const double row_s_;
  const std::vector<float> hidden_ = std::vector<float>(kHidden);
  std::chrono::steady_clock::duration waited_{};
};

class WaitingEngine final : public Engine, public std::enable_shared_from_this<WaitingEngine> {
 public:
  WaitingEngine(std::size_t step_rows_max, std::size_t positions, double step_ms, double row_us) {
    config_.text.vocab_size = kVocabulary;
    config_.text.sliding_window = 1024;
    config_.text.max_position_embeddings = 262144;
    config_.audio.emplace();
    loop_ = std::make_shared<captiond::EngineLoop>(
        captiond::EngineLoop::Setting{.step_rows_max = step_rows_max,
                                      .prompt_rows_max = step_rows_max,
                                      .pages = positions / captiond::kPagePositions,
                                      .rules = {.sliding_window = 1024,
                                                .positions_max = 262144,
                                                .stop = {1, 106},
                                                .suppressed = {}}},
        std::make_unique<WaitingForward>(step_ms, row_us));
    captiond::EngineLoop::start(loop_);
  }
  ~WaitingEngine() override { loop_->stop(); }

  const captiond::ModelConfig& config() const override { return config_; }
  const captiond::GenerationConfig& generation_config() const override { return generation_; }
  const captiond::Tokenizer& tokenizer() const override {
    throw std::logic_error("an engine without a checkpoint has no tokenizer");
  }
  std::unique_ptr<captiond::Context> new_context(captiond::LogitsSink logits) override {
    return std::make_unique<captiond::ContextHandle>(shared_from_this(), loop_,
                                                     loop_->new_sequence(std::move(logits)));
  }
  Statistics statistics() const override { return loop_->statistics(); }

 private:
  captiond::ModelConfig config_;
  captiond::GenerationConfig generation_;
  std::shared_ptr<captiond::EngineLoop> loop_;
};

void measure(std::size_t count, double seconds, std::size_t step_rows, double step_ms,
             double row_us) {
  const CaptionLoad load;
  const auto engine = std::make_shared<WaitingEngine>(
      step_rows, count * (CaptionStreams::positions_max(load) + 64), step_ms, row_us);
  CaptionStreams streams(*engine, load);
  streams.resize(count);
  const Engine::Statistics before = engine->statistics();
  const CaptionLatencies updates = streams.run(1.0, seconds, 1.0, 1.0);
  const Engine::Statistics after = engine->statistics();
  const auto steps = static_cast<double>(after.steps - before.steps);
  const double waited_s = after.device_s - before.device_s;
  std::printf("%7zu %8.0f %8.0f %7zu %8.0f %8.0f %9.2f %9.3f\n", count, 1e3 * updates.quantile(0.5),
              1e3 * updates.quantile(0.95), updates.missed, steps / (seconds + 1.0),
              static_cast<double>(after.rows - before.rows) / steps, 1e3 * waited_s / steps,
              1e3 * (after.busy_s - before.busy_s - waited_s) / steps);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures what scheduling costs a step with hundreds of caption streams.");
  std::vector<std::size_t> counts = {50, 100, 200, 300, 400};
  double seconds = 3;
  double step_ms = 6;
  double row_us = 40;
  std::size_t step_rows = 1024;
  app.add_option("--streams", counts, "streams")->capture_default_str();
  app.add_option("--seconds", seconds, "of each measurement")->capture_default_str();
  app.add_option("--step-ms", step_ms, "that a step takes at least")->capture_default_str();
  app.add_option("--row-us", row_us, "that a row takes at least")->capture_default_str();
  app.add_option("--step-rows", step_rows, "rows of a step")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::printf("%7s %8s %8s %7s %8s %8s %9s %9s\n", "streams", "p50 ms", "p95 ms", "missed",
              "steps/s", "rows", "GPU ms", "host ms");
  for (const std::size_t count : counts) measure(count, seconds, step_rows, step_ms, row_us);
  return 0;
}
