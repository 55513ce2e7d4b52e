#include "pipeline/stream_plan.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "pipeline/config.h"
#include "pipeline/language_choice.h"
#include "pipeline/printable_text.h"
#include "pipeline/stream_error.h"

namespace captiond {

void check_media_file(const std::filesystem::path& file) {
  const std::string name = printable(file.native());
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) {
    throw StreamError(name + " cannot be opened: " + error.message());
  }
  // A FIFO or device could make GStreamer wait for ever, where even stopping it waits.
  if (!std::filesystem::is_regular_file(status)) {
    throw StreamError(name + " is no regular file");
  }
  if (std::filesystem::file_size(file, error) == 0) throw StreamError(name + " is empty");
  errno = 0;
  if (!std::ifstream(file, std::ios::binary)) {
    throw StreamError(name + " cannot be opened: " + std::strerror(errno));
  }
}

StreamPlan plan_stream(const v1::StreamConfig& stream) {
  StreamPlan plan = {.config = stream,
                     .uri = SourceUri::resolve(stream.uri()),
                     .name = {},
                     .live = is_live(stream),
                     .realtime = !is_live(stream) && stream.pace() == v1::PACE_REALTIME,
                     .language = find_language(stream.captions().language()).value(),
                     .translations = {}};
  for (const std::string& language : stream.captions().translations()) {
    plan.translations.push_back(find_language(language).value());
  }
  const auto file = file_path(plan.uri.actual());
  plan.name = printable(file.empty() ? plan.uri.shown() : file.native());
  if (!file.empty()) check_media_file(file);
  return plan;
}

}  // namespace captiond
