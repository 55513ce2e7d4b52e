#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <gst/gst.h>

#include "captiond/v1/config.pb.h"
#include "pipeline/caption_format.h"

namespace captiond {

struct TranscribeOptions {
  std::vector<std::string> files;  // paths or URIs
  std::string model;               // empty: model_folder() decides
  std::string device = "cpu";
  std::string dtype = {};  // empty: float32 on the CPU, bfloat16 on a GPU
  std::string weights = "bf16";
  std::uint32_t threads = 0;
  std::string language = "English";
  std::vector<std::string> translations = {};  // names or codes of languages
  std::string scenes = {};         // seconds between two pictures; empty: none is described
  std::uint32_t scene_frames = 1;  // of the film's last seconds that a description is about
  bool no_speech = false;
  CaptionFormat format = CaptionFormat::kText;
  std::string output = {};  // folder for files of captions; empty: standard output
  bool partials = false;
  std::string log_level = "warning";
};

// The configuration that `options` mean: a stream a file, as fast as the engine can. Throws
// ConfigError, naming the option.
v1::Config transcribe_config(const TranscribeOptions& options);

// `captiond transcribe`: the captions of each file in turn on `out` or in files, everything else on
// stderr. A file that fails is said on stderr, and the next is done. Returns the exit code. Throws
// what ends a start: ConfigError, CheckpointError, std::runtime_error.
int transcribe(const TranscribeOptions& options, std::ostream& out);

}  // namespace captiond
