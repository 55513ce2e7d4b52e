#include "pipeline/check_config.h"

#include "model/checkpoint.h"
#include "model/tokenizer.h"
#include "pipeline/config_error.h"
#include "pipeline/config_file.h"
#include "pipeline/engine_setup.h"
#include "pipeline/stream_error.h"
#include "pipeline/stream_plan.h"

namespace captiond {
namespace {

void check_stream(const std::filesystem::path& file, const v1::StreamConfig& stream) {
  const std::string place = file.native() + ": stream " + stream.id() + ": ";
  try {
    plan_stream(stream);
  } catch (const ConfigError& error) {
    throw ConfigError(place + error.what());
  } catch (const StreamError& error) {
    throw StreamError(place + error.what());
  }
}

}  // namespace

std::string check_config(const std::filesystem::path& file) {
  const v1::Config config = load_config(file);
  const EngineOptions options = engine_options(config.engine());
  const auto checkpoint = Checkpoint::open(options.model);
  Tokenizer::open(options.model / "tokenizer.json");
  check_abilities(config, checkpoint->config());
  for (const v1::StreamConfig& stream : config.streams()) check_stream(file, stream);
  const std::string streams =
      std::to_string(config.streams_size()) + (config.streams_size() == 1 ? " stream" : " streams");
  return "OK: " + file.native() + ": " + streams + ", model " + options.model.native() +
         ", publishing on " + config.publisher().endpoint();
}

}  // namespace captiond
