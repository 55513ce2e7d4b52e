#include "model/engine.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "model/context_handle.h"
#include "model/cuda_forward.h"
#include "model/engine_loop.h"
#include "model/image_resize.h"
#include "model/picture_patcher.h"
#include "model/reference_forward.h"

namespace captiond {
namespace {

class LoadedEngine final : public Engine, public std::enable_shared_from_this<LoadedEngine> {
 public:
  LoadedEngine(std::shared_ptr<const Checkpoint> checkpoint,
               std::shared_ptr<const Tokenizer> tokenizer, std::unique_ptr<Forward> forward,
               const EngineLoop::Setting& setting)
      : checkpoint_(std::move(checkpoint)),
        tokenizer_(std::move(tokenizer)),
        picture_patcher_(forward->picture_patcher()),
        loop_(std::make_shared<EngineLoop>(setting, std::move(forward))) {
    EngineLoop::start(loop_);
  }
  ~LoadedEngine() override { loop_->stop(); }

  const ModelConfig& config() const override { return checkpoint_->config(); }
  const GenerationConfig& generation_config() const override {
    return checkpoint_->generation_config();
  }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  std::unique_ptr<Context> new_context(LogitsSink logits) override {
    return std::make_unique<ContextHandle>(shared_from_this(), loop_,
                                           loop_->new_sequence(std::move(logits)));
  }
  VisionPatches patches(const ImageView& picture, std::size_t soft_tokens_max) override {
    if (picture_patcher_ == nullptr) return Engine::patches(picture, soft_tokens_max);
    return picture_patcher_->patches(picture, soft_tokens_max);
  }
  Statistics statistics() const override { return loop_->statistics(); }

 private:
  const std::shared_ptr<const Checkpoint> checkpoint_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  PicturePatcher* const picture_patcher_;  // of the forward pass, which loop_ keeps; may be null
  const std::shared_ptr<EngineLoop> loop_;
};

void check_options(const EngineOptions& options) {
  if (options.step_rows_max < Scheduler::kStepRowsLeast) {
    throw std::runtime_error("The engine needs step_rows_max of at least " +
                             std::to_string(Scheduler::kStepRowsLeast) + ", not " +
                             std::to_string(options.step_rows_max) + ".");
  }
  if (options.prompt_rows_max != 0 && options.prompt_rows_max < options.step_rows_max) {
    throw std::runtime_error("The engine needs prompt_rows_max of at least step_rows_max, " +
                             std::to_string(options.step_rows_max) + ", or 0 for the same, not " +
                             std::to_string(options.prompt_rows_max) + ".");
  }
  if (options.kv_positions < kPagePositions) {
    throw std::runtime_error("The engine needs kv_positions of at least " +
                             std::to_string(kPagePositions) + ", not " +
                             std::to_string(options.kv_positions) + ".");
  }
  if (options.device == Device::kCpu && options.weights != WeightFormat::kBf16) {
    throw std::runtime_error(
        "The device cpu computes with the weights as the checkpoint has them, but they were to be "
        "quantised; leave the format of weights at bf16 or use the device cuda.");
  }
  if (options.device == Device::kCpu && options.kv != KvFormat::kBf16) {
    throw std::runtime_error(
        "The device cpu keeps keys and values in the dtype it computes in, but they were to be in "
        "fp8; leave the format of keys and values at bf16 or use the device cuda.");
  }
  constexpr std::size_t kPixelsMax = ImageResizer::kSideMax * ImageResizer::kSideMax;
  if (options.picture_pixels_max < 1 || options.picture_pixels_max > kPixelsMax) {
    throw std::runtime_error("The engine needs picture_pixels_max of 1 to " +
                             std::to_string(kPixelsMax) + ", not " +
                             std::to_string(options.picture_pixels_max) + ".");
  }
  if (options.threads < 0) {
    throw std::runtime_error("The engine needs threads of at least 0 (all cores), not " +
                             std::to_string(options.threads) + ".");
  }
}

std::vector<TokenId> ascending(std::vector<TokenId> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

std::shared_ptr<Engine> Engine::open(const EngineOptions& options) {
  check_options(options);
  std::shared_ptr<const Checkpoint> checkpoint = Checkpoint::open(options.model);
  std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::open(options.model / "tokenizer.json");
  const TextConfig& text = checkpoint->config().text;
  const GenerationConfig& generation = checkpoint->generation_config();
  const std::size_t pages = (options.kv_positions + kPagePositions - 1) / kPagePositions;
  const std::size_t prompt_rows_max = std::max(options.step_rows_max, options.prompt_rows_max);
  const ForwardSetting forward_setting{.device = options.device,
                                       .dtype = options.dtype,
                                       .weights = options.weights,
                                       .kv = options.kv,
                                       .vision_mask = options.vision_mask,
                                       .pages = pages,
                                       .step_rows_max = prompt_rows_max,
                                       .picture_pixels_max = options.picture_pixels_max,
                                       .threads = options.threads};
  std::unique_ptr<Forward> forward =
      options.device == Device::kCuda
          ? make_cuda_forward(checkpoint, forward_setting, options.report)
          : make_reference_forward(checkpoint, forward_setting);
  const EngineLoop::Setting setting{
      .step_rows_max = options.step_rows_max,
      .prompt_rows_max = prompt_rows_max,
      .pages = pages,
      .has_sliding_layers = std::find(text.layer_types.begin(), text.layer_types.end(),
                                      LayerType::kSliding) != text.layer_types.end(),
      .rules = {.sliding_window = static_cast<std::size_t>(text.sliding_window),
                .positions_max = static_cast<std::size_t>(text.max_position_embeddings),
                .stop = ascending(generation.eos_token_ids),
                .suppressed = ascending(generation.suppressed_token_ids)},
      .device_lost = options.device_lost};
  return std::make_shared<LoadedEngine>(std::move(checkpoint), std::move(tokenizer),
                                        std::move(forward), setting);
}

}  // namespace captiond
