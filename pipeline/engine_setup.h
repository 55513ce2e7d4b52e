#pragma once

#include <filesystem>
#include <memory>

#include "captiond/v1/config.pb.h"
#include "model/engine.h"

namespace captiond {

// The folder of the checkpoint that `configured` names, or if that is empty the one of the
// environment variable CAPTIOND_MODEL, or the demo checkpoint that comes with captiond (beside the
// program's installation, or in the source tree it was built from). Throws ConfigError, naming
// where it looked, if there is none.
std::filesystem::path model_folder(const std::string& configured);

// Throws ConfigError for what no machine could open: quantised weights or fp8
// keys and values on a CPU, float32 on a GPU.
EngineOptions engine_options(const v1::EngineConfig& engine);

// Throws ConfigError if a stream of `config` asks for what a checkpoint cannot do: hear, see, or
// look at so many frames at once.
void check_abilities(const v1::Config& config, const ModelConfig& model);

}  // namespace captiond
