#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "pipeline/transcribe.h"

namespace captiond {

// What the user asked captiond for.
struct Command {
  enum class Kind { kServe, kTranscribe, kCheck };
  Kind kind = Kind::kServe;
  std::filesystem::path config;  // serve, check
  TranscribeOptions transcribe;
};

// The command line of captiond, its options bound to `command`, which must outlive it. parse() of
// it throws CLI::ParseError, for --help and --version too.
std::unique_ptr<CLI::App> make_command_line(Command& command);

}  // namespace captiond
