#include "pipeline/config_file.h"

#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <vector>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/config_value.h"
#include "pipeline/nearest_name.h"
#include "pipeline/printable_text.h"
#include "pipeline/source_uri.h"

namespace captiond {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Thousands of streams fit; a device or a film given by mistake does not.
constexpr std::size_t kBytesMax = std::size_t{4} << 20;

std::string kind_of(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return node.IsScalar() ? in_quotes(node.Scalar()) : "nothing";
}

std::vector<std::string> key_names(const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
  return names;
}

// Walks a YAML tree along the fields of a message and remembers where each key stood.
class YamlReader {
 public:
  explicit YamlReader(std::string file) : file_(std::move(file)) {}

  void read(const YAML::Node& node, const std::string& path, Message& message) {
    marks_[path] = node.Mark();
    if (!node.IsMap()) {
      refuse(node.Mark(), (path.empty() ? "the file" : path) +
                              " must be a mapping of keys to values, found " + kind_of(node));
    }
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const YAML::Mark mark = entry.first.Mark();
      if (!entry.first.IsScalar()) refuse(mark, "a key must be a word, found a list or a mapping");
      const std::string name = entry.first.Scalar();
      const std::string where = path.empty() ? "" : " in " + path;
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
      if (field == nullptr) {
        refuse(mark, "unknown key " + in_quotes(name) + where +
                         suggestion(name, key_names(*message.GetDescriptor())));
      }
      if (!seen.insert(name).second)
        refuse(mark, "key " + in_quotes(name) + where + " is given twice");
      read_field(entry.second, path.empty() ? name : path + "." + name, *field, message);
    }
  }

  // Throws `sentence` with the place of `path`, or of the nearest key around it that was given.
  [[noreturn]] void refuse_key(std::string path, const std::string& sentence) const {
    while (!marks_.contains(path)) {
      const auto cut = path.find_last_of(".[");
      path = cut == std::string::npos ? "" : path.substr(0, cut);
    }
    refuse(marks_.at(path), sentence);
  }

  [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& sentence) const {
    std::string place = file_;
    if (!mark.is_null()) {
      place += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    }
    throw ConfigError(place + ": " + sentence);
  }

 private:
  void read_field(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                  Message& message) {
    marks_[path] = node.Mark();
    const auto& reflection = *message.GetReflection();
    if (is_value(field)) {
      if (!node.IsScalar())
        refuse(node.Mark(), path + ": expected one value, found " + kind_of(node));
      try {
        set_value(message, field, node.Scalar());
      } catch (const ConfigError& error) {
        refuse(node.Mark(), path + ": " + error.what());
      }
      return;
    }
    if (!field.is_repeated()) {
      return read(node, path, *reflection.MutableMessage(&message, &field));
    }
    if (!node.IsSequence()) {
      refuse(node.Mark(), path + " must be a list ('- …'), found " + kind_of(node));
    }
    int i = 0;
    for (const auto& item : node) {
      const std::string here = path + "[" + std::to_string(i++) + "]";
      if (!is_value_list(field)) {
        read(item, here, *reflection.AddMessage(&message, &field));
        continue;
      }
      marks_[here] = item.Mark();
      if (!item.IsScalar()) {
        refuse(item.Mark(), here + ": expected one value, found " + kind_of(item));
      }
      reflection.AddString(&message, &field, item.Scalar());
    }
  }

  const std::string file_;
  std::map<std::string, YAML::Mark> marks_;  // of the value at each path that was given
};

YAML::Node parse_document(std::string_view text, const YamlReader& reader) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty()) reader.refuse(YAML::Mark::null_mark(), "the file is empty");
    if (documents.size() > 1) {
      reader.refuse(documents[1].Mark(), "a second YAML document begins, expected only one");
    }
    return documents.front();
  } catch (const YAML::DeepRecursion& error) {
    reader.refuse(error.mark, "it is nested too deeply");
  } catch (const YAML::Exception& error) {
    reader.refuse(error.mark, "this is no YAML: " + error.msg);
  }
}

void make_absolute(v1::Config& config, const std::filesystem::path& file) {
  const auto folder = std::filesystem::absolute(file).parent_path();
  if (config.has_engine() && !config.engine().model().empty()) {
    const auto model = (folder / config.engine().model()).lexically_normal();
    config.mutable_engine()->set_model(model.native());
  }
  for (v1::StreamConfig& stream : *config.mutable_streams()) {
    if (stream.uri().empty() || is_uri(stream.uri())) continue;
    stream.set_uri(file_uri(stream.uri(), folder));
  }
}

}  // namespace

v1::Config parse_config(std::string_view text, const std::filesystem::path& file) {
  YamlReader reader(file.native());
  v1::Config config;
  reader.read(parse_document(text, reader), "", config);
  make_absolute(config, file);
  set_defaults(config);
  if (const auto problem = find_problem(config)) {
    reader.refuse_key(problem->path, problem->sentence);
  }
  return config;
}

v1::Config load_config(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) {
    throw ConfigError(file.native() + " cannot be read: " + error.message());
  }
  // Opening a FIFO would wait for its writer.
  if (!std::filesystem::is_regular_file(status)) {
    throw ConfigError(file.native() + " is no regular file, expected a YAML file");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream.is_open()) {
    throw ConfigError(file.native() + " cannot be opened for reading");
  }
  std::string text(kBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw ConfigError(file.native() + " cannot be read to its end");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kBytesMax) {
    throw ConfigError(file.native() + " is longer than 4 MiB, expected a YAML file");
  }
  return parse_config(text, file);
}

}  // namespace captiond
