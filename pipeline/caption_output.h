#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "captiond/v1/config.pb.h"
#include "captiond/v1/event.pb.h"
#include "pipeline/caption_format.h"
#include "pipeline/live_lines.h"

namespace captiond {

// Where the captions of one media file go: all of them to one stream, or each kind and language to
// a file of its own.
class CaptionOutput {
 public:
  // To `out`, borrowed, as `stream` asks for them. `media` is the name that JSON gives.
  // `partial_columns`: the width of the terminal on which partials are rewritten in place, 0 for
  // none, where they are lines; nullopt: partials are not shown (json has them anyway).
  CaptionOutput(const v1::StreamConfig& stream, CaptionFormat format, const std::string& media,
                std::ostream& out, std::optional<std::size_t> partial_columns);
  // To files of `folder` that begin with `stem`: STEM.en.vtt, STEM.de.vtt, STEM.scenes.vtt. Until
  // finish(), which replaces files of these names, they are named STEM.en.vtt.part. Throws
  // StreamError if one cannot be opened.
  CaptionOutput(const v1::StreamConfig& stream, CaptionFormat format, const std::string& media,
                const std::filesystem::path& folder, const std::string& stem);
  // Takes away files that are not finished.
  ~CaptionOutput();
  CaptionOutput(const CaptionOutput&) = delete;
  CaptionOutput& operator=(const CaptionOutput&) = delete;

  void write(const v1::Event& body);

  // Whether anything came that could be written.
  bool written() const { return written_; }

  // What is left, and the last call. Throws StreamError if not everything could be written to its
  // file; whoever owns `out` looks after that.
  void finish();

 private:
  struct Target {
    std::string kind;  // a language code or "scenes"; empty: all
    CaptionFormatter formatter;
    std::ostream* out;
    std::filesystem::path name;           // of the file when it is finished
    std::unique_ptr<std::ofstream> file;  // what `out` is, null for what is borrowed
  };

  static std::filesystem::path part_of(const Target& target);
  void begin();
  void show(const CaptionFormatter& formatter, const v1::Event& body, const std::string& text);
  void open(const std::filesystem::path& file, const std::string& kind, CaptionFormatter formatter);

  std::vector<Target> targets_;
  std::optional<LiveLines> lines_;  // of the one target
  bool written_ = false;
};

// What the caption files of `media`, a path or URI, are named for: "talk" for /films/talk.mp4.
// Throws ConfigError if that is nothing.
std::string caption_stem(const std::string& media);

}  // namespace captiond
