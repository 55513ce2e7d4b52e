#include "pipeline/source_uri.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include "pipeline/config_error.h"
#include "pipeline/printable_text.h"

namespace captiond {
namespace {

constexpr std::size_t kSecretBytesMax = 4096;

// Stand for a placeholder, and for one that is hidden with its surroundings. Control characters are
// refused in URIs before.
constexpr char kPlaceholderMark = '\x01';
constexpr char kHiddenMark = '\x02';

// Names of query keys whose values are not shown: any that holds one of these, or ends with "key".
constexpr std::array<std::string_view, 7> kSecretWords = {"pass", "pwd", "secret", "token",
                                                          "auth", "sig", "cred"};

bool is_unreserved(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

std::string percent_encode(std::string_view text, std::string_view kept) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c) || kept.find(c) != std::string_view::npos) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 2]));
    if (!escape) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return decoded;
}

std::string lower(std::string_view text) {
  std::string result;
  for (const char c : text) {
    result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// A ${KIND:NAME} in a URI.
struct Placeholder {
  std::string kind;
  std::string name;
};

bool is_variable_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front()))) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
}

Placeholder parse_placeholder(std::string_view inside) {
  const auto colon = inside.find(':');
  const std::string kind(inside.substr(0, colon));
  const std::string name(colon == std::string_view::npos ? "" : inside.substr(colon + 1));
  const bool good = (kind == "env" && is_variable_name(name)) || (kind == "file" && !name.empty());
  if (!good) {
    throw ConfigError(in_quotes("${" + std::string(inside) + "}") +
                      " is no placeholder: write ${env:NAME} or ${file:PATH}");
  }
  return {kind, name};
}

// `uri` with every placeholder replaced by what `value` returns for it.
std::string substitute(std::string_view uri,
                       const std::function<std::string(const Placeholder&)>& value) {
  if (std::any_of(uri.begin(), uri.end(), [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    throw ConfigError("a URI must not hold control characters");
  }
  std::string result;
  while (true) {
    const auto begin = uri.find("${");
    result += uri.substr(0, begin);
    if (begin == std::string_view::npos) return result;
    const auto end = uri.find('}', begin);
    if (end == std::string_view::npos) {
      throw ConfigError("a placeholder is not closed: '}' is missing after '${'");
    }
    result += value(parse_placeholder(uri.substr(begin + 2, end - begin - 2)));
    uri.remove_prefix(end + 1);
  }
}

std::string read_secret(const Placeholder& placeholder) {
  std::string value;
  if (placeholder.kind == "env") {
    const char* text = std::getenv(placeholder.name.c_str());
    if (text == nullptr) {
      throw ConfigError("the environment variable " + placeholder.name + " is not set");
    }
    value = text;
  } else {
    std::error_code error;  // opening a FIFO would wait for its writer
    const bool regular = std::filesystem::is_regular_file(placeholder.name, error);
    std::ifstream file;
    if (regular) file.open(placeholder.name, std::ios::binary);
    if (file.is_open()) value.assign(std::istreambuf_iterator<char>(file), {});
    if (!file.is_open() || file.bad() || value.size() > kSecretBytesMax) {
      throw ConfigError("the file " + placeholder.name +
                        " cannot be read as a secret of at most 4096 bytes");
    }
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  }
  if (value.empty()) throw ConfigError("the secret " + placeholder.name + " is empty");
  return value;
}

// The half-open range of user and password in `uri`, without '@'; nullopt if there is none.
std::optional<std::pair<std::size_t, std::size_t>> find_user_info(std::string_view uri) {
  const auto authority = uri.find("://");
  if (authority == std::string_view::npos) return std::nullopt;
  const auto begin = authority + 3;
  const auto end = std::min(uri.find_first_of("/?#", begin), uri.size());
  const auto at = uri.substr(begin, end - begin).rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair{begin, begin + at};
}

// The half-open ranges of the query values that are secret.
std::vector<std::pair<std::size_t, std::size_t>> find_secret_values(std::string_view uri) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  auto begin = uri.find('?');
  while (begin != std::string_view::npos) {
    const auto end = std::min(uri.find_first_of("&#", begin + 1), uri.size());
    const std::string_view pair = uri.substr(begin + 1, end - begin - 1);
    const auto equal = pair.find('=');
    const std::string name = lower(pair.substr(0, equal));
    const bool named =
        name.ends_with("key") ||
        std::any_of(kSecretWords.begin(), kSecretWords.end(),
                    [&](std::string_view word) { return name.find(word) != std::string::npos; });
    if (named && equal != std::string_view::npos) ranges.emplace_back(begin + 2 + equal, end);
    begin = end < uri.size() && uri[end] == '&' ? end : std::string_view::npos;
  }
  return ranges;
}

// What was written, placeholders and all, less the secrets that were written out. The placeholders
// step aside meanwhile: what stands in them must not be taken for a part of the URI.
std::string shown_form(std::string_view uri) {
  std::vector<std::string> placeholders;
  std::string shown = substitute(uri, [&](const Placeholder& placeholder) {
    placeholders.push_back("${" + placeholder.kind + ":" + placeholder.name + "}");
    return std::string(1, kPlaceholderMark);
  });
  auto hidden = find_secret_values(shown);
  if (const auto range = find_user_info(shown)) hidden.insert(hidden.begin(), *range);
  for (auto range = hidden.rbegin(); range != hidden.rend(); ++range) {
    const auto marks =
        std::count(shown.begin() + static_cast<std::ptrdiff_t>(range->first),
                   shown.begin() + static_cast<std::ptrdiff_t>(range->second), kPlaceholderMark);
    const std::string mask = "***" + std::string(static_cast<std::size_t>(marks), kHiddenMark);
    shown.replace(range->first, range->second - range->first, mask);
  }
  std::string result;
  auto placeholder = placeholders.begin();
  for (const char c : shown) {
    if (c == kPlaceholderMark) result += *placeholder;
    if (c == kPlaceholderMark || c == kHiddenMark) ++placeholder;
    if (c != kPlaceholderMark && c != kHiddenMark) result += c;
  }
  return result;
}

}  // namespace

SourceUri SourceUri::resolve(std::string_view uri) {
  SourceUri result;
  const auto add_secret = [&](std::string_view secret) {
    result.secrets_.emplace_back(secret);
    result.secrets_.push_back(percent_decode(secret));
  };
  result.actual_ = substitute(uri, [&](const Placeholder& placeholder) {
    const std::string value = percent_encode(read_secret(placeholder), "");
    add_secret(value);
    return value;
  });

  const std::string_view actual = result.actual_;
  if (const auto range = find_user_info(actual)) {
    const std::string_view user = actual.substr(range->first, range->second - range->first);
    add_secret(user);
    const auto colon = user.find(':');
    if (colon != std::string_view::npos) add_secret(user.substr(colon + 1));
  }
  for (const auto& [begin, end] : find_secret_values(actual)) {
    add_secret(actual.substr(begin, end - begin));
  }
  auto& secrets = result.secrets_;
  std::sort(secrets.begin(), secrets.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });

  result.shown_ = shown_form(uri);
  return result;
}

std::string SourceUri::scheme() const {
  return lower(std::string_view(actual_).substr(0, actual_.find(':')));
}

std::string SourceUri::scrub(std::string text) const {
  replace_all(text, actual_, shown_);
  for (const std::string& secret : secrets_) replace_all(text, secret, "***");
  return text;
}

bool is_uri(std::string_view text) {
  return text.find("://") != std::string_view::npos || text.starts_with("file:") ||
         text.starts_with("data:");
}

std::string file_uri(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto absolute = std::filesystem::absolute(folder / path).lexically_normal();
  return "file://" + percent_encode(absolute.native(), "/");
}

std::filesystem::path file_path(std::string_view uri) {
  if (!uri.starts_with("file:")) return {};
  uri.remove_prefix(5);
  if (uri.starts_with("//")) {
    const auto slash = uri.find('/', 2);  // after the host, which is empty or localhost
    uri = slash == std::string_view::npos ? std::string_view() : uri.substr(slash);
  }
  return percent_decode(uri);
}

void check_placeholders(std::string_view uri) {
  substitute(uri, [](const Placeholder&) { return std::string(); });
}

}  // namespace captiond
