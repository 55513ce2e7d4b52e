#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace captiond {

// Where a stream's media comes from, with what is secret in it kept out of everything that is
// shown.
//
// A URI may hold ${env:NAME} and ${file:PATH}: the value of an environment variable or the content
// of a file (without the newline at its end) stands there percent-encoded when the stream starts.
// Shown instead are the placeholder, and "***" for user and password before '@' and for query
// values whose name speaks of a secret (passphrase, token, …).
class SourceUri {
 public:
  // Reads the environment and the files now. Throws ConfigError: one sentence without a secret.
  static SourceUri resolve(std::string_view uri);

  const std::string& actual() const { return actual_; }  // for the source element alone
  const std::string& shown() const { return shown_; }    // for logs, events and messages
  std::string scheme() const;                            // lower case, "rtsp"

  // `text` of a library, with this URI and its secrets replaced by what may be shown.
  std::string scrub(std::string text) const;

 private:
  SourceUri() = default;
  std::string actual_;
  std::string shown_;
  std::vector<std::string> secrets_;  // as they stand in actual_ and decoded, longest first
};

// Whether `text` is a URI rather than a path: it has "://" or begins with "file:" or "data:".
bool is_uri(std::string_view text);

// The file URI of `path`, made absolute against `folder`.
std::string file_uri(const std::filesystem::path& path, const std::filesystem::path& folder);

// The path of a file URI; empty for another scheme.
std::filesystem::path file_path(std::string_view uri);

// Throws ConfigError if a placeholder in `uri` is not written as it must be. Reads nothing.
void check_placeholders(std::string_view uri);

}  // namespace captiond
