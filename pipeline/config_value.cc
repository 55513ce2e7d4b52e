#include "pipeline/config_value.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <google/protobuf/duration.pb.h>

#include "captiond/v1/key.pb.h"
#include "pipeline/config_error.h"
#include "pipeline/printable_text.h"

namespace captiond {
namespace {

using google::protobuf::Duration;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// "ms" before "m" and "s": the first suffix that fits is the unit.
constexpr std::array<Unit, 4> kUnits = {{{"ms", kNanosecondsPerMillisecond},
                                         {"s", kNanosecondsPerSecond},
                                         {"m", 60 * kNanosecondsPerSecond},
                                         {"h", 3600 * kNanosecondsPerSecond}}};

bool is_duration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type()->full_name() == Duration::descriptor()->full_name();
}

[[noreturn]] void refuse(const std::string& expected, std::string_view found) {
  throw ConfigError("expected " + expected + ", found " + in_quotes(found));
}

// The whole of `text` as a finite decimal number.
std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::general);
  if (result.ec != std::errc{} || result.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_nanoseconds(std::string_view text) {
  if (text == "0") return 0;
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto number = parse_number(text.substr(0, text.size() - unit.name.size()));
    if (!number || *number < 0) return std::nullopt;
    // Whole milliseconds, because what takes durations counts in them. A Duration holds 10,000
    // years; a value that large is a mistake in any key.
    const double milliseconds = *number * static_cast<double>(unit.nanoseconds) / 1e6;
    const double whole = std::round(milliseconds);
    if (!(std::abs(milliseconds - whole) < 1e-6) || !(whole <= 1e12)) return std::nullopt;
    return static_cast<std::int64_t>(whole) * kNanosecondsPerMillisecond;
  }
  return std::nullopt;
}

std::int64_t nanoseconds_of(const Message& message, const FieldDescriptor& field) {
  const Message& value = message.GetReflection()->GetMessage(message, &field);
  const auto* duration = dynamic_cast<const Duration*>(&value);
  return duration->seconds() * kNanosecondsPerSecond + duration->nanos();
}

void set_duration(Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto nanoseconds = parse_nanoseconds(text);
  if (!nanoseconds) refuse("a duration of whole milliseconds such as 500ms, 1.5s, 2m or 1h", text);
  Message* value = message.GetReflection()->MutableMessage(&message, &field);
  auto* duration = dynamic_cast<Duration*>(value);
  duration->set_seconds(*nanoseconds / kNanosecondsPerSecond);
  duration->set_nanos(static_cast<std::int32_t>(*nanoseconds % kNanosecondsPerSecond));
}

std::string duration_text(std::int64_t nanoseconds) {
  for (auto unit = kUnits.rbegin(); unit != kUnits.rend(); ++unit) {
    if (nanoseconds != 0 && nanoseconds % unit->nanoseconds == 0) {
      return std::to_string(nanoseconds / unit->nanoseconds) + std::string(unit->name);
    }
  }
  if (nanoseconds == 0) return "0s";
  std::array<char, 64> buffer{};
  const double milliseconds = static_cast<double>(nanoseconds) / 1e6;
  const auto end = std::to_chars(buffer.begin(), buffer.end(), milliseconds).ptr;
  return std::string(buffer.begin(), end) + "ms";
}

// DEVICE_CPU of enum Device, VISION_MASK_FULL_CAUSAL of VisionMask: "cpu", "full-causal".
std::string enum_text(const EnumValueDescriptor& value) {
  std::string prefix;
  for (const char c : value.type()->name()) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !prefix.empty()) prefix += '_';
    prefix += upper ? c : static_cast<char>(c - 'a' + 'A');
  }
  std::string text;
  for (const char c : value.name().substr(prefix.size() + 1)) {
    text += c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

void set_enum(Message& message, const FieldDescriptor& field, std::string_view text) {
  const EnumDescriptor& type = *field.enum_type();
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;  // …_UNSPECIFIED
    const std::string name = enum_text(*type.value(i));
    if (name == text) return message.GetReflection()->SetEnum(&message, &field, type.value(i));
    names += (names.empty() ? "" : ", ") + name;
  }
  refuse("one of " + names, text);
}

template <class Integer>
Integer parse_integer(std::string_view text, const std::string& expected) {
  Integer value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec == std::errc::result_out_of_range && result.ptr == end) {
    refuse(expected + " up to " + std::to_string(std::numeric_limits<Integer>::max()), text);
  }
  if (result.ec != std::errc{} || result.ptr != end) refuse(expected, text);
  return value;
}

// The value as a number that can be compared with others of the same field.
double magnitude(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (is_duration(field)) return static_cast<double>(nanoseconds_of(message, field));
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    default:
      throw std::logic_error(field.full_name() + " has a range but is no number");
  }
}

double magnitude_of_text(const Message& like, const FieldDescriptor& field, std::string_view text) {
  const std::unique_ptr<Message> scratch(like.New());
  set_value(*scratch, field, text);
  return magnitude(*scratch, field);
}

}  // namespace

bool is_value(const FieldDescriptor& field) {
  return !field.is_repeated() &&
         (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || is_duration(field));
}

bool is_value_list(const FieldDescriptor& field) {
  return field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
}

void set_value(Message& message, const FieldDescriptor& field, std::string_view text) {
  const auto& reflection = *message.GetReflection();
  if (is_duration(field)) return set_duration(message, field, text);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") refuse("true or false", text);
      return reflection.SetBool(&message, &field, text == "true");
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.SetUInt32(&message, &field,
                                  parse_integer<std::uint32_t>(text, "a whole number"));
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const auto number = parse_number(text);
      if (!number) refuse("a number", text);
      return reflection.SetDouble(&message, &field, *number);
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return set_enum(message, field, text);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(&message, &field, std::string(text));
    default:
      throw std::logic_error(field.full_name() + " has a type that no key can have");
  }
}

std::string value_text(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (is_duration(field)) return duration_text(nanoseconds_of(message, field));
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      std::array<char, 64> buffer{};
      const double value = reflection.GetDouble(message, &field);
      return {buffer.begin(), std::to_chars(buffer.begin(), buffer.end(), value).ptr};
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return enum_text(*reflection.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    default:
      throw std::logic_error(field.full_name() + " has a type that no key can have");
  }
}

std::string allowed_range(const FieldDescriptor& field) {
  const v1::Key& key = field.options().GetExtension(v1::key);
  if (!key.min().empty() && !key.max().empty()) return key.min() + " to " + key.max();
  if (!key.min().empty()) return "at least " + key.min();
  if (!key.max().empty()) return "at most " + key.max();
  return {};
}

bool in_range(const Message& message, const FieldDescriptor& field) {
  const v1::Key& key = field.options().GetExtension(v1::key);
  if (key.min().empty() && key.max().empty()) return true;
  const double value = magnitude(message, field);
  const bool enough = key.min().empty() || value >= magnitude_of_text(message, field, key.min());
  const bool little = key.max().empty() || value <= magnitude_of_text(message, field, key.max());
  return enough && little;
}

}  // namespace captiond
