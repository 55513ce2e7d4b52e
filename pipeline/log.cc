#include "pipeline/log.h"

#include <nlohmann/json.hpp>
#include <spdlog/details/os.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <stdexcept>
#include <string>

#include "pipeline/message_json.h"
#include "pipeline/proto_time.h"

namespace captiond {
namespace {

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(message.level);
    const nlohmann::ordered_json json = {
        {"time", timestamp_text(message.time)},
        {"level", std::string(level.data(), level.size())},
        {"message", std::string(message.payload.data(), message.payload.size())}};
    const std::string line = json_line(json) + "\n";
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

spdlog::level::level_enum spdlog_level(v1::LogLevel level) {
  switch (level) {
    case v1::LOG_LEVEL_DEBUG:
      return spdlog::level::debug;
    case v1::LOG_LEVEL_INFO:
      return spdlog::level::info;
    case v1::LOG_LEVEL_WARNING:
      return spdlog::level::warn;
    case v1::LOG_LEVEL_ERROR:
      return spdlog::level::err;
    default:
      throw std::logic_error("a log level that find_problem() lets pass is not known here");
  }
}

}  // namespace

std::shared_ptr<spdlog::logger> make_log(v1::LogLevel level, v1::LogFormat format) {
  std::shared_ptr<spdlog::logger> log;
  if (format == v1::LOG_FORMAT_JSON) {
    log = std::make_shared<spdlog::logger>("captiond",
                                           std::make_shared<spdlog::sinks::stderr_sink_mt>());
    log->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    log = std::make_shared<spdlog::logger>("captiond",
                                           std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    log->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  }
  log->set_level(spdlog_level(level));
  return log;
}

}  // namespace captiond
