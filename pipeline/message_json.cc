#include "pipeline/message_json.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

namespace captiond {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::TimeUtil;
using Json = nlohmann::ordered_json;

Json message_value(const Message& message) {
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&message)) {
    return static_cast<double>(TimeUtil::DurationToNanoseconds(*duration)) / 1e9;
  }
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) {
    return TimeUtil::ToString(*time);
  }
  return message_json(message);
}

Json scalar_value(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::string name = reflection.GetEnum(message, &field)->name();
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      return name;
    }
    default:
      throw std::logic_error(field.full_name() + " has a type that is not written as JSON");
  }
}

}  // namespace

Json message_json(const Message& message) {
  Json json = Json::object();
  const auto& descriptor = *message.GetDescriptor();
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (field.is_repeated()) {
      throw std::logic_error(field.full_name() + " has a type that is not written as JSON");
    }
    if (field.has_presence() && !reflection.HasField(message, &field)) continue;
    json[field.name()] = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
                             ? message_value(reflection.GetMessage(message, &field))
                             : scalar_value(message, field);
  }
  return json;
}

std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace captiond
