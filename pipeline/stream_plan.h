#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "captiond/v1/config.pb.h"
#include "pipeline/source_uri.h"

namespace captiond {

// What one run of a stream is made of: its configuration with everything decided.
struct StreamPlan {
  v1::StreamConfig config;
  SourceUri uri;
  std::string name;       // for messages: the path of a file, else the URI as it may be shown
  bool live = false;      // cannot wait
  bool realtime = false;  // a file that is played at the speed of its clock
  std::string language;   // ISO 639-1 codes
  std::vector<std::string> translations;
};

// `stream` has passed find_problem(). Reads the secrets that its URI names and, for a file, looks
// whether it is there; throws ConfigError or StreamError.
StreamPlan plan_stream(const v1::StreamConfig& stream);

// Throws StreamError, one sentence naming it, unless `file` is a regular file with some content
// that can be opened for reading.
void check_media_file(const std::filesystem::path& file);

}  // namespace captiond
