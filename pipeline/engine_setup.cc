#include "pipeline/engine_setup.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <system_error>

#include "pipeline/config_error.h"
#include "pipeline/exit_code.h"

namespace captiond {
namespace {

constexpr const char* kVariable = "CAPTIOND_MODEL";

// Where the demo checkpoint lies: relative to an installed program (PREFIX/bin/captiond), then in
// the source tree.
std::array<std::filesystem::path, 2> demo_folders() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return {program.parent_path().parent_path() / "share/captiond/demo-model",
          std::filesystem::path(CAPTIOND_SOURCE_DIR) / "assets/demo-model"};
}

WeightFormat weight_format(v1::WeightFormat format) {
  switch (format) {
    case v1::WEIGHT_FORMAT_FP8:
      return WeightFormat::kFp8;
    case v1::WEIGHT_FORMAT_INT8:
      return WeightFormat::kInt8;
    case v1::WEIGHT_FORMAT_INT4:
      return WeightFormat::kInt4;
    default:
      return WeightFormat::kBf16;
  }
}

// What no machine could open.
void check_options(const EngineOptions& options) {
  if (options.device == Device::kCpu && options.weights != WeightFormat::kBf16) {
    throw ConfigError(
        "engine.weights asks for quantised weights, but engine.device is cpu, which computes with "
        "them as they are; set engine.device: cuda or engine.weights: bf16");
  }
  if (options.device == Device::kCpu && options.kv != KvFormat::kBf16) {
    throw ConfigError(
        "engine.kv asks for keys and values in fp8, but engine.device is cpu, which keeps them in "
        "engine.dtype; set engine.device: cuda or engine.kv: bf16");
  }
  if (options.device == Device::kCuda && options.dtype == Dtype::kFloat32) {
    throw ConfigError(
        "engine.dtype is float32, but engine.device is cuda, which computes in bfloat16; set "
        "engine.dtype: bfloat16");
  }
}

// What one description of `scenes` takes at least, its words aside, must fit into a context.
void check_scene_room(const v1::Config& config, const ModelConfig& model,
                      const v1::SceneConfig& scenes, const std::string& path) {
  const std::uint64_t wanted =
      std::uint64_t{scenes.frames()} * scenes.soft_tokens() + scenes.tokens_max();
  const auto refuse = [&](const std::string& limit, std::uint64_t most) {
    throw ConfigError(path + ".frames is " + std::to_string(scenes.frames()) + ", soft_tokens " +
                      std::to_string(scenes.soft_tokens()) + " and tokens_max " +
                      std::to_string(scenes.tokens_max()) + ", together more than " +
                      std::to_string(wanted) + " positions, but " + limit + " is " +
                      std::to_string(most) + "; make one of them smaller");
  };
  if (wanted >= config.engine().kv_positions()) {
    refuse("engine.kv_positions", config.engine().kv_positions());
  }
  const auto most = static_cast<std::uint64_t>(model.text.max_position_embeddings);
  if (wanted >= most) refuse("the checkpoint's max_position_embeddings", most);
}

}  // namespace

std::filesystem::path model_folder(const std::string& configured) {
  if (!configured.empty()) return configured;
  const char* variable = std::getenv(kVariable);
  if (variable != nullptr && *variable != '\0') return variable;
  std::string looked;
  for (const auto& folder : demo_folders()) {
    std::error_code error;
    if (std::filesystem::is_directory(folder, error)) return folder;
    looked += (looked.empty() ? "" : " nor ") + folder.native();
  }
  throw ConfigError(
      "no model was named and the demo checkpoint is not there: neither the environment variable " +
      std::string(kVariable) + " is set nor is there a folder " + looked);
}

EngineOptions engine_options(const v1::EngineConfig& engine) {
  EngineOptions options;
  options.model = model_folder(engine.model());
  options.device = engine.device() == v1::DEVICE_CUDA ? Device::kCuda : Device::kCpu;
  options.dtype = engine.dtype() == v1::DTYPE_BFLOAT16 ? Dtype::kBfloat16 : Dtype::kFloat32;
  options.weights = weight_format(engine.weights());
  options.kv = engine.kv() == v1::KV_FORMAT_FP8 ? KvFormat::kFp8 : KvFormat::kBf16;
  options.vision_mask = engine.vision_mask() == v1::VISION_MASK_FULL_CAUSAL
                            ? VisionMask::kFullCausal
                            : VisionMask::kFullBidirectional;
  options.kv_positions = engine.kv_positions();
  options.step_rows_max = engine.step_rows_max();
  options.prompt_rows_max = engine.prompt_rows_max();
  options.picture_pixels_max = engine.picture_pixels_max();
  options.threads = static_cast<int>(engine.threads());
  // Without its device the process can do nothing more, and only a new one has a working device.
  options.device_lost = [](const std::string& sentence) {
    std::cerr << "captiond: " << sentence << std::endl;
    std::_Exit(kFailedWhileRunning);
  };
  check_options(options);
  return options;
}

void check_abilities(const v1::Config& config, const ModelConfig& model) {
  for (int i = 0; i < config.streams_size(); ++i) {
    const v1::StreamConfig& stream = config.streams(i);
    const std::string path = "streams[" + std::to_string(i) + "]";
    if (stream.captions().enabled() && !model.audio) {
      throw ConfigError(path + ".captions.enabled is true, but the checkpoint cannot hear");
    }
    if (stream.scenes().enabled() && !model.vision) {
      throw ConfigError(path + ".scenes.enabled is true, but the checkpoint cannot see");
    }
    if (stream.scenes().enabled()) {
      check_scene_room(config, model, stream.scenes(), path + ".scenes");
    }
  }
}

}  // namespace captiond
