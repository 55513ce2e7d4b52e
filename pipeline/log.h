#pragma once

#include <memory>
#include <spdlog/logger.h>

#include "captiond/v1/config.pb.h"

namespace captiond {

// The program's log on stderr, as text ("2026-07-20 14:03:05.120 info lobby: running") or as one
// JSON object a line ({"time": …, "level": …, "message": …}). Safe from any thread. Not spdlog's
// default logger: whoever logs has been given it.
std::shared_ptr<spdlog::logger> make_log(v1::LogLevel level, v1::LogFormat format);

}  // namespace captiond
