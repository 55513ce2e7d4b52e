#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "captiond/v1/config.pb.h"

namespace captiond {

// The configuration in a YAML file, complete with defaults and checked. Relative paths in it
// (engine.model, a stream's uri that is no URI) become absolute against the file's folder, and bare
// paths become file URIs.
//
// Throws ConfigError: `meeting.yaml:7:3: unknown key "langauge" in streams[0].captions; did you
// mean "language"?`. Refused are: text that is not one YAML document, unknown and repeated keys,
// values of the wrong type or out of range, and whatever find_problem() finds.
v1::Config load_config(const std::filesystem::path& file);

// The same for `text`; `file` is used in messages and for relative paths only.
v1::Config parse_config(std::string_view text, const std::filesystem::path& file);

}  // namespace captiond
