#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include <google/protobuf/message.h>

namespace captiond {

// A message as a JSON object with the field names of its .proto, in their order: every scalar field
// of it, messages and oneof members only where set. Durations are seconds, timestamps RFC 3339 in
// UTC, enums the value's name in lower case.
nlohmann::ordered_json message_json(const google::protobuf::Message& message);

// On one line, invalid UTF-8 replaced.
std::string json_line(const nlohmann::ordered_json& json);

}  // namespace captiond
