// The rules of captiond.v1.Config that hold whoever made it, a YAML file or a control request.
#pragma once

#include <optional>
#include <string>

#include "captiond/v1/config.pb.h"

namespace captiond {

// Something in a Config that cannot be.
struct ConfigProblem {
  std::string path;      // of the key: "streams[1].captions.language"
  std::string sentence;  // what it is, what is allowed, what was found
};

// Sets every key that is absent to its default (schemas/captiond/v1/config.proto has them), nested
// messages and list entries included. Keys that are there stay as they are.
void set_defaults(v1::Config& config);

// The first thing wrong in `config`, which must have passed set_defaults(): values out of range,
// missing required keys, ids that are no ids or not unique, keys that contradict each other. Opens
// no file.
std::optional<ConfigProblem> find_problem(const v1::Config& config);

// Whether the source cannot wait: `source` as configured, or by the scheme of its URI for `auto`
// (file, data, http and https can wait).
bool is_live(const v1::StreamConfig& stream);

}  // namespace captiond
