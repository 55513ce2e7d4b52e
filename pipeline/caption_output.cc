#include "pipeline/caption_output.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <system_error>
#include <utility>

#include "pipeline/config_error.h"
#include "pipeline/language_choice.h"
#include "pipeline/printable_text.h"
#include "pipeline/proto_time.h"
#include "pipeline/source_uri.h"
#include "pipeline/stream_error.h"

namespace captiond {
namespace {

constexpr const char* kScenes = "scenes";

// Language codes of what is written down, and "scenes", in the order of the messages.
std::vector<std::string> kinds_of(const v1::StreamConfig& stream) {
  std::vector<std::string> kinds;
  if (stream.captions().enabled()) {
    kinds.push_back(find_language(stream.captions().language()).value());
    for (const std::string& language : stream.captions().translations()) {
      kinds.push_back(find_language(language).value());
    }
  }
  if (stream.scenes().enabled()) kinds.emplace_back(kScenes);
  return kinds;
}

CaptionContent content_of(const std::vector<std::string>& kinds) {
  if (kinds.size() > 1) return CaptionContent::kMixed;
  return kinds.front() == kScenes ? CaptionContent::kScenes : CaptionContent::kSpeech;
}

std::string kind_of(const v1::Event& body) {
  if (body.has_transcript()) return body.transcript().language();
  if (body.has_translation()) return body.translation().language();
  return body.has_scene() ? kScenes : "";
}

const char* extension_of(CaptionFormat format) {
  switch (format) {
    case CaptionFormat::kText:
      return ".txt";
    case CaptionFormat::kJson:
      return ".jsonl";
    case CaptionFormat::kVtt:
      return ".vtt";
    case CaptionFormat::kSrt:
      return ".srt";
  }
  return "";
}

}  // namespace

CaptionOutput::CaptionOutput(const v1::StreamConfig& stream, CaptionFormat format,
                             const std::string& media, std::ostream& out,
                             std::optional<std::size_t> partial_columns) {
  const auto interval = from_duration(stream.scenes().interval());
  targets_.push_back(
      {{}, CaptionFormatter(format, content_of(kinds_of(stream)), media, interval), &out, {}, {}});
  if (partial_columns) lines_.emplace(out, *partial_columns);
}

CaptionOutput::CaptionOutput(const v1::StreamConfig& stream, CaptionFormat format,
                             const std::string& media, const std::filesystem::path& folder,
                             const std::string& stem) {
  const auto interval = from_duration(stream.scenes().interval());
  for (const std::string& kind : kinds_of(stream)) {
    const auto file = folder / (stem + "." + kind + extension_of(format));
    open(file, kind, CaptionFormatter(format, content_of({kind}), media, interval));
  }
}

CaptionOutput::~CaptionOutput() {
  std::error_code ignored;
  for (const Target& target : targets_) {
    if (target.file) std::filesystem::remove(part_of(target), ignored);
  }
}

std::filesystem::path CaptionOutput::part_of(const Target& target) {
  return target.name.native() + ".part";
}

void CaptionOutput::open(const std::filesystem::path& file, const std::string& kind,
                         CaptionFormatter formatter) {
  Target target = {kind, std::move(formatter), nullptr, file, nullptr};
  errno = 0;
  target.file = std::make_unique<std::ofstream>(part_of(target), std::ios::binary);
  if (!*target.file) {
    throw StreamError(printable(file.native()) + " cannot be written: " + std::strerror(errno));
  }
  target.out = target.file.get();
  targets_.push_back(std::move(target));
}

void CaptionOutput::write(const v1::Event& body) {
  const std::string kind = kind_of(body);
  if (kind.empty()) return;
  begin();
  for (Target& target : targets_) {
    if (!target.kind.empty() && target.kind != kind) continue;
    const std::string text = target.formatter.caption(body);
    if (lines_) {
      show(target.formatter, body, text);
    } else {
      *target.out << text << std::flush;
    }
  }
}

// `text` above the partial line, which a transcript replaces.
void CaptionOutput::show(const CaptionFormatter& formatter, const v1::Event& body,
                         const std::string& text) {
  const v1::Transcript& transcript = body.transcript();
  if (transcript.final()) lines_->remove("");
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines_->keep(line);
  if (!body.has_transcript() || transcript.final()) return;
  const auto stable = std::min<std::size_t>(transcript.stable_length(), transcript.text().size());
  lines_->replace("", {formatter.label(body), transcript.text().substr(0, stable),
                       transcript.text().substr(stable)});
}

// Not before something is there to write: a file that cannot be opened has no captions.
void CaptionOutput::begin() {
  if (std::exchange(written_, true)) return;
  for (Target& target : targets_) *target.out << target.formatter.begin();
}

void CaptionOutput::finish() {
  begin();
  for (Target& target : targets_) {
    if (lines_) lines_->remove("");  // what was interrupted
    *target.out << target.formatter.end() << std::flush;
    if (!target.file) continue;
    target.file->close();
    std::error_code error;
    if (*target.file) std::filesystem::rename(part_of(target), target.name, error);
    if (!*target.file || error) {
      throw StreamError(printable(target.name.native()) + " could not be written" +
                        (error ? ": " + error.message() : ""));
    }
    target.file.reset();
  }
}

std::string caption_stem(const std::string& media) {
  std::filesystem::path path = media;
  if (is_uri(media)) {
    path = file_path(media);
    if (path.empty()) {
      // The last part of the URI's path, without query and fragment.
      const auto host = media.find("://");
      const auto begin = host == media.npos ? media.npos : media.find('/', host + 3);
      if (begin != media.npos) path = media.substr(begin, media.find_first_of("?#") - begin);
    }
  }
  const std::string stem = path.stem().native();
  if (stem.empty() || stem == "." || stem == "..") {
    throw ConfigError("--output names caption files for their media files, but " +
                      in_quotes(media) + " has no name to take");
  }
  return stem;
}

}  // namespace captiond
