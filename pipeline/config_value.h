// One configuration value as text ("500ms", "true", "cpu") and in its Protobuf field, by
// reflection.
#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace captiond {

// Whether `field` holds one value (a scalar, an enum or a Duration) or a list of strings, rather
// than more keys.
bool is_value(const google::protobuf::FieldDescriptor& field);
bool is_value_list(const google::protobuf::FieldDescriptor& field);

// Sets `field` of `message` from `text`. Throws ConfigError with "expected …, found …".
//
//   bool        true, false
//   integer     decimal digits
//   double      a finite decimal number
//   enum        the value's name without the enum's, lower case, '-' for '_': "full-causal"
//   Duration    a decimal number and ms, s, m or h: "500ms", "1.5s"; whole milliseconds; "0"
//               needs no unit
//   string      as it stands
void set_value(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
               std::string_view text);

// The value of `field` as set_value() reads it; set_value(value_text()) changes nothing.
std::string value_text(const google::protobuf::Message& message,
                       const google::protobuf::FieldDescriptor& field);

// "100ms to 30s", "at least 1", … from the field's options; empty if any value is allowed.
std::string allowed_range(const google::protobuf::FieldDescriptor& field);

// Whether the value lies between the field's min and max; true where it has neither.
bool in_range(const google::protobuf::Message& message,
              const google::protobuf::FieldDescriptor& field);

}  // namespace captiond
