#define BOOST_TEST_MODULE engine_setup
#include <cstdlib>
#include <string>

#include <boost/test/unit_test.hpp>

#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/engine_setup.h"
#include "pipeline/transcribe.h"
#include "tests/support/temporary_folder.h"

using captiond::ConfigError;
using captiond::model_folder;
namespace v1 = captiond::v1;

BOOST_AUTO_TEST_CASE(a_model_that_is_named_is_taken_before_the_environment) {
  const captiond::test::TemporaryFolder folder;
  setenv("CAPTIOND_MODEL", folder.path().c_str(), 1);
  BOOST_TEST(model_folder("/some/model") == "/some/model");
  BOOST_TEST(model_folder("") == folder.path());
  unsetenv("CAPTIOND_MODEL");
  BOOST_TEST(model_folder("").native().ends_with("assets/demo-model"));
}

BOOST_AUTO_TEST_CASE(what_the_configuration_says_reaches_the_engine) {
  v1::EngineConfig config;
  config.set_model("/m");
  config.set_device(v1::DEVICE_CUDA);
  config.set_dtype(v1::DTYPE_BFLOAT16);
  config.set_weights(v1::WEIGHT_FORMAT_INT8);
  config.set_kv(v1::KV_FORMAT_FP8);
  config.set_vision_mask(v1::VISION_MASK_FULL_CAUSAL);
  config.set_kv_positions(2048);
  config.set_step_rows_max(64);
  config.set_prompt_rows_max(96);
  config.set_picture_pixels_max(10000);
  config.set_threads(3);
  const captiond::EngineOptions options = captiond::engine_options(config);
  BOOST_TEST(options.model == "/m");
  BOOST_TEST((options.device == captiond::Device::kCuda));
  BOOST_TEST((options.dtype == captiond::Dtype::kBfloat16));
  BOOST_TEST((options.weights == captiond::WeightFormat::kInt8));
  BOOST_TEST((options.kv == captiond::KvFormat::kFp8));
  BOOST_TEST((options.vision_mask == captiond::VisionMask::kFullCausal));
  BOOST_TEST(options.kv_positions == 2048u);
  BOOST_TEST(options.step_rows_max == 64u);
  BOOST_TEST(options.prompt_rows_max == 96u);
  BOOST_TEST(options.picture_pixels_max == 10000u);
  BOOST_TEST(options.threads == 3);
}

BOOST_AUTO_TEST_CASE(what_no_device_can_do_is_refused) {
  v1::EngineConfig config;
  config.set_model("/m");
  config.set_weights(v1::WEIGHT_FORMAT_FP8);
  BOOST_CHECK_THROW(captiond::engine_options(config), ConfigError);
  config.set_device(v1::DEVICE_CUDA);
  BOOST_CHECK_THROW(captiond::engine_options(config), ConfigError);  // float32
  config.set_dtype(v1::DTYPE_BFLOAT16);
  BOOST_TEST((captiond::engine_options(config).weights == captiond::WeightFormat::kFp8));
  config = {};
  config.set_model("/m");
  config.set_kv(v1::KV_FORMAT_FP8);
  BOOST_CHECK_THROW(captiond::engine_options(config), ConfigError);
  config.set_kv(v1::KV_FORMAT_BF16);
  BOOST_TEST((captiond::engine_options(config).kv == captiond::KvFormat::kBf16));
}

BOOST_AUTO_TEST_CASE(the_defaults_are_those_of_the_engine) {
  const captiond::EngineOptions wanted,
      options = captiond::engine_options(
          captiond::transcribe_config({.files = {"a.wav"}, .model = "/m"}).engine());
  BOOST_TEST((options.device == wanted.device));
  BOOST_TEST((options.dtype == wanted.dtype));
  BOOST_TEST((options.weights == wanted.weights));
  BOOST_TEST((options.kv == wanted.kv));
  BOOST_TEST((options.vision_mask == wanted.vision_mask));
  BOOST_TEST(options.kv_positions == wanted.kv_positions);
  BOOST_TEST(options.step_rows_max == wanted.step_rows_max);
  BOOST_TEST(options.prompt_rows_max == wanted.prompt_rows_max);
  BOOST_TEST(options.picture_pixels_max == wanted.picture_pixels_max);
  BOOST_TEST(options.threads == wanted.threads);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_cannot_do_what_a_stream_wants_is_refused) {
  v1::Config config;
  v1::StreamConfig& stream = *config.add_streams();
  stream.mutable_captions()->set_enabled(true);
  captiond::ModelConfig model;
  BOOST_CHECK_EXCEPTION(captiond::check_abilities(config, model), ConfigError,
                        [](const ConfigError& error) {
                          return error.what() == std::string(
                                                     "streams[0].captions.enabled is true, but the "
                                                     "checkpoint cannot hear");
                        });
  model.audio.emplace();
  captiond::check_abilities(config, model);
  stream.mutable_scenes()->set_enabled(true);
  BOOST_CHECK_THROW(captiond::check_abilities(config, model), ConfigError);
  model.vision.emplace();
  stream.mutable_scenes()->set_frames(32);
  captiond::set_defaults(config);
  model.text.max_position_embeddings = 2305;
  captiond::check_abilities(config, model);
  const auto refused = [&](const std::string& sentence) {
    BOOST_CHECK_EXCEPTION(captiond::check_abilities(config, model), ConfigError,
                          [&](const ConfigError& error) { return error.what() == sentence; });
  };
  model.text.max_position_embeddings = 2048;
  refused(
      "streams[0].scenes.frames is 32, soft_tokens 70 and tokens_max 64, together more than 2304 "
      "positions, but the checkpoint's max_position_embeddings is 2048; make one of them smaller");
  config.mutable_engine()->set_kv_positions(1024);
  refused(
      "streams[0].scenes.frames is 32, soft_tokens 70 and tokens_max 64, together more than 2304 "
      "positions, but engine.kv_positions is 1024; make one of them smaller");
  stream.mutable_scenes()->set_enabled(false);
  captiond::check_abilities(config, model);
}

BOOST_AUTO_TEST_CASE(files_to_transcribe_are_streams_that_can_wait) {
  const v1::Config config =
      captiond::transcribe_config({.files = {"/a b.wav", "https://host/c.mp3"}, .model = "/m"});
  BOOST_REQUIRE(config.streams_size() == 2);
  BOOST_TEST(config.streams(0).uri() == "file:///a%20b.wav");
  BOOST_TEST(config.streams(1).uri() == "https://host/c.mp3");
  for (const v1::StreamConfig& stream : config.streams()) {
    BOOST_TEST(stream.source() == v1::SOURCE_KIND_FILE);
    BOOST_TEST(stream.pace() == v1::PACE_FAST);
    BOOST_TEST(stream.captions().partial_interval().nanos() == 0);
  }
}
