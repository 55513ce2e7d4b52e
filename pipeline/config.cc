#include "pipeline/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "captiond/v1/key.pb.h"
#include "elements/scene_captioner.h"
#include "model/vision_patcher.h"
#include "pipeline/config_error.h"
#include "pipeline/config_value.h"
#include "pipeline/language_choice.h"
#include "pipeline/nearest_name.h"
#include "pipeline/printable_text.h"
#include "pipeline/proto_time.h"
#include "pipeline/source_uri.h"

namespace captiond {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::size_t kIdBytesMax = 64;

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::string indexed(const std::string& path, int i) { return path + "[" + std::to_string(i) + "]"; }

void set_message_defaults(Message& message) {
  const auto& descriptor = *message.GetDescriptor();
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (is_value(field)) {
      const v1::Key& key = field.options().GetExtension(v1::key);
      if (key.required() || reflection.HasField(message, &field)) continue;
      set_value(message, field, key.default_value());
    } else if (is_value_list(field)) {
      continue;  // its default is the empty list
    } else if (field.is_repeated()) {
      for (int j = 0; j < reflection.FieldSize(message, &field); ++j) {
        set_message_defaults(*reflection.MutableRepeatedMessage(&message, &field, j));
      }
    } else {
      set_message_defaults(*reflection.MutableMessage(&message, &field));
    }
  }
}

std::optional<ConfigProblem> find_value_problem(const Message& message,
                                                const FieldDescriptor& field,
                                                const std::string& path) {
  const v1::Key& key = field.options().GetExtension(v1::key);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const int number = message.GetReflection()->GetEnumValue(message, &field);
    if (number == 0 || field.enum_type()->FindValueByNumber(number) == nullptr) {
      return ConfigProblem{path, path + " is " + std::to_string(number) +
                                     ", which is no value of " + field.enum_type()->name()};
    }
  }
  const std::string text = value_text(message, field);
  if (key.required() && text.empty()) return ConfigProblem{path, path + " must be given"};
  if (!in_range(message, field)) {
    return ConfigProblem{path, path + " is " + text + ", allowed is " + allowed_range(field)};
  }
  return std::nullopt;
}

// Presence and ranges of everything in `message`, in the order of the fields.
std::optional<ConfigProblem> find_range_problem(const Message& message, const std::string& path) {
  const auto& descriptor = *message.GetDescriptor();
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const std::string here = join(path, field.name());
    std::optional<ConfigProblem> problem;
    if (is_value(field)) {
      problem = find_value_problem(message, field, here);
    } else if (is_value_list(field)) {
      continue;
    } else if (field.is_repeated()) {
      for (int j = 0; j < reflection.FieldSize(message, &field) && !problem; ++j) {
        problem =
            find_range_problem(reflection.GetRepeatedMessage(message, &field, j), indexed(here, j));
      }
    } else {
      problem = find_range_problem(reflection.GetMessage(message, &field), here);
    }
    if (problem) return problem;
  }
  return std::nullopt;
}

bool is_id(std::string_view id) {
  const auto allowed = [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '-' || c == '_' || c == '.';
  };
  return !id.empty() && id.size() <= kIdBytesMax && std::all_of(id.begin(), id.end(), allowed);
}

std::optional<std::string> endpoint_problem(const std::string& endpoint) {
  constexpr std::string_view kTcp = "tcp://", kIpc = "ipc://";
  const std::string expected =
      "expected tcp://ADDRESS:PORT (PORT 1 to 65535 or *) or ipc://PATH, found " +
      in_quotes(endpoint);
  if (endpoint.starts_with(kIpc)) {
    // sockaddr_un holds 108 bytes with the terminating zero.
    const std::size_t bytes = endpoint.size() - kIpc.size();
    if (bytes == 0) return expected;
    if (bytes > 107)
      return "the path of an ipc endpoint has at most 107 bytes, this one has " +
             std::to_string(bytes);
    return std::nullopt;
  }
  const auto colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kTcp) || colon <= kTcp.size()) return expected;
  const std::string port = endpoint.substr(colon + 1);
  if (port == "*") return std::nullopt;
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits || std::stoi(port) < 1 || std::stoi(port) > 65535) return expected;
  return std::nullopt;
}

std::optional<ConfigProblem> find_uri_problem(const v1::StreamConfig& stream,
                                              const std::string& path) {
  const std::string key = path + ".uri";
  if (!is_uri(stream.uri())) {
    return ConfigProblem{key, key + " must be a URI such as file:///a.wav or rtsp://host/path"};
  }
  try {
    check_placeholders(stream.uri());
  } catch (const ConfigError& error) {
    return ConfigProblem{key, key + ": " + error.what()};
  }
  return std::nullopt;
}

// The path and the sentence begin inside of `captions`.
std::optional<ConfigProblem> find_language_problem(const v1::CaptionConfig& captions) {
  const auto unknown = [](const std::string& path, const std::string& language) {
    return ConfigProblem{path, " is " + in_quotes(language) + ", which is no known language" +
                                   suggestion(language, language_names())};
  };
  const auto spoken = find_language(captions.language());
  if (!spoken) return unknown("language", captions.language());
  std::set<std::string> seen = {*spoken};
  for (int i = 0; i < captions.translations_size(); ++i) {
    const std::string path = indexed("translations", i);
    const auto wanted = find_language(captions.translations(i));
    if (!wanted) return unknown(path, captions.translations(i));
    if (!seen.insert(*wanted).second) {
      return ConfigProblem{path, " is " + in_quotes(captions.translations(i)) +
                                     ", which is the spoken language or there already"};
    }
  }
  return std::nullopt;
}

// The path and the sentence begin inside of `scenes`.
std::optional<ConfigProblem> find_frames_problem(const v1::SceneConfig& scenes) {
  const auto span = from_duration(scenes.frame_distance()) * static_cast<int>(scenes.frames());
  if (scenes.frames() == 1 || span <= kSceneSpanMax) return std::nullopt;
  const auto* distance = scenes.GetDescriptor()->FindFieldByName("frame_distance");
  return ConfigProblem{"frames", " is " + std::to_string(scenes.frames()) + " and frame_distance " +
                                     value_text(scenes, *distance) +
                                     ", but the model takes videos of 60s at most: make one of "
                                     "them smaller"};
}

std::optional<ConfigProblem> find_stream_problem(const v1::StreamConfig& stream,
                                                 const std::string& path) {
  const auto problem = [&](const std::string& key, const std::string& text) {
    return ConfigProblem{path + "." + key, path + "." + key + text};
  };
  if (!is_id(stream.id())) {
    return problem("id", " is " + in_quotes(stream.id()) +
                             ", allowed are 1 to 64 of the characters a-z 0-9 - _ .");
  }
  if (auto bad = find_uri_problem(stream, path)) return bad;
  if (const auto bad = find_language_problem(stream.captions())) {
    return problem("captions." + bad->path, bad->sentence);
  }
  if (!stream.captions().enabled() && !stream.scenes().enabled()) {
    return problem("captions.enabled",
                   " and scenes.enabled are both false: the stream would do nothing");
  }
  if (is_live(stream) && stream.pace() == v1::PACE_FAST) {
    return problem("pace", " is fast, but the source is live");
  }
  if (is_live(stream) && stream.loop()) {
    return problem("loop", " is true, but the source is live");
  }
  const auto& captions = stream.captions();
  if (from_duration(captions.lead_out()) > from_duration(captions.endpoint_silence())) {
    return problem("captions.lead_out", " is above captions.endpoint_silence");
  }
  if (!is_vision_budget(stream.scenes().soft_tokens())) {
    return problem("scenes.soft_tokens", " is " + std::to_string(stream.scenes().soft_tokens()) +
                                             ", allowed are 70, 140, 280, 560 and 1120");
  }
  if (auto bad = find_frames_problem(stream.scenes())) {
    return problem("scenes." + bad->path, bad->sentence);
  }
  const auto& restart = stream.restart();
  if (from_duration(restart.delay_min()) > from_duration(restart.delay_max())) {
    return problem("restart.delay_min", " is above restart.delay_max");
  }
  return std::nullopt;
}

}  // namespace

void set_defaults(v1::Config& config) { set_message_defaults(config); }

std::optional<ConfigProblem> find_problem(const v1::Config& config) {
  if (auto problem = find_range_problem(config, "")) return problem;
  if (const auto sentence = endpoint_problem(config.publisher().endpoint())) {
    return ConfigProblem{"publisher.endpoint", "publisher.endpoint: " + *sentence};
  }
  if (config.streams().empty()) return ConfigProblem{"streams", "streams must have an entry"};
  std::set<std::string> ids;
  for (int i = 0; i < config.streams_size(); ++i) {
    const std::string path = indexed("streams", i);
    if (auto problem = find_stream_problem(config.streams(i), path)) return problem;
    if (!ids.insert(config.streams(i).id()).second) {
      return ConfigProblem{path + ".id", path + ".id is " + in_quotes(config.streams(i).id()) +
                                             ", which another stream has already"};
    }
  }
  return std::nullopt;
}

bool is_live(const v1::StreamConfig& stream) {
  constexpr std::array<std::string_view, 4> kWaiting = {"file:", "data:", "http:", "https:"};
  if (stream.source() != v1::SOURCE_KIND_AUTO) return stream.source() == v1::SOURCE_KIND_LIVE;
  return std::none_of(kWaiting.begin(), kWaiting.end(),
                      [&](std::string_view scheme) { return stream.uri().starts_with(scheme); });
}

}  // namespace captiond
