#include "model/tool_syntax.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/chat_markers.h"

namespace captiond {
namespace {

// Keys inside of `items` of an array in an array are quoted, all others are bare.
enum class Keys { kBare, kQuoted };

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// Pointers to the entries of `mapping`, sorted by key; `key_of` gives an entry's key.
template <typename Mapping, typename KeyOf>
auto sorted(const Mapping& mapping, const KeyOf& key_of) {
  std::vector<const typename Mapping::value_type*> entries;
  for (const auto& entry : mapping) entries.push_back(&entry);
  std::stable_sort(entries.begin(), entries.end(), [&](const auto* left, const auto* right) {
    return lower(key_of(*left)) < lower(key_of(*right));
  });
  return entries;
}

// As Python writes a float, which is what the published template prints: the shortest digits that
// give the number back, an exponent below 1e-4 and from 1e16.
std::string float_text(double number) {
  if (!std::isfinite(number)) {
    throw std::invalid_argument("a number of a tool call must be finite, found " +
                                std::to_string(number) + ".");
  }
  char buffer[64];
  const double size = std::fabs(number);
  const bool exponent = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, number, format);
  std::string text(buffer, end.ptr);
  if (!exponent && text.find('.') == std::string::npos) text += ".0";
  return text;
}

void write_string(std::string_view text, ChatPieces& out) {
  out.marker(chat_markers::kQuote).text(text).marker(chat_markers::kQuote);
}

void write_strings(const std::vector<std::string>& texts, ChatPieces& out) {
  out.text("[");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out.text(",");
    write_string(texts[i], out);
  }
  out.text("]");
}

void write_value(const ToolValue& value, Keys keys, ChatPieces& out);

void write_members(const ToolValue::Mapping& mapping, Keys keys, ChatPieces& out) {
  bool first = true;
  for (const ToolMember* member : sorted(mapping, [](const ToolMember& m) { return m.key; })) {
    if (!first) out.text(",");
    first = false;
    if (keys == Keys::kQuoted) {
      write_string(member->key, out);
    } else {
      out.text(member->key);
    }
    out.text(":");
    write_value(member->value, keys, out);
  }
}

void write_value(const ToolValue& value, Keys keys, ChatPieces& out) {
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    write_string(*text, out);
  } else if (const auto* mapping = std::get_if<ToolValue::Mapping>(&value.value)) {
    out.text("{");
    write_members(*mapping, keys, out);
    out.text("}");
  } else if (const auto* list = std::get_if<ToolValue::List>(&value.value)) {
    out.text("[");
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out.text(",");
      write_value((*list)[i], keys, out);
    }
    out.text("]");
  } else if (const auto* boolean = std::get_if<bool>(&value.value)) {
    out.text(*boolean ? "true" : "false");
  } else if (const auto* whole = std::get_if<std::int64_t>(&value.value)) {
    out.text(std::to_string(*whole));
  } else if (const auto* number = std::get_if<double>(&value.value)) {
    out.text(float_text(*number));
  } else {
    out.text("null");
  }
}

std::string_view name_of(ToolType type) {
  switch (type) {
    case ToolType::kString:
      return "string";
    case ToolType::kNumber:
      return "number";
    case ToolType::kInteger:
      return "integer";
    case ToolType::kBoolean:
      return "boolean";
    case ToolType::kArray:
      return "array";
    case ToolType::kObject:
      return "object";
  }
  return "";
}

void check_schema(const ToolSchema& schema) {
  const auto refuse = [&](const char* key, const char* types) {
    throw std::invalid_argument(std::string(key) + " of a tool's schema must belong to " + types +
                                ", found it on type " + std::string(name_of(schema.type)) + ".");
  };
  if (!schema.enumeration.empty() && schema.type != ToolType::kString) refuse("enum", "a string");
  if (!schema.items.empty() && schema.type != ToolType::kArray) refuse("items", "an array");
  if (schema.items.size() > 1) {
    throw std::invalid_argument("items of a tool's schema must be one schema, found " +
                                std::to_string(schema.items.size()) + ".");
  }
  if (schema.type != ToolType::kObject) {
    if (!schema.properties.empty()) refuse("properties", "an object");
    if (!schema.required.empty()) refuse("required", "an object");
  }
}

// The schema as JSON Schema spells it, for the places where the format writes it as a plain value.
ToolValue value_of(const ToolSchema& schema) {
  check_schema(schema);
  const auto list_of = [](const std::vector<std::string>& texts) {
    ToolValue::List list;
    for (const std::string& text : texts) list.push_back({text});
    return ToolValue{std::move(list)};
  };
  ToolValue::Mapping out;
  if (!schema.description.empty()) out.push_back({"description", {schema.description}});
  if (!schema.enumeration.empty()) out.push_back({"enum", list_of(schema.enumeration)});
  if (!schema.items.empty()) out.push_back({"items", value_of(schema.items.front())});
  if (schema.nullable) out.push_back({"nullable", {true}});
  if (!schema.properties.empty()) {
    ToolValue::Mapping properties;
    for (const ToolProperty& property : schema.properties) {
      properties.push_back({property.name, value_of(property.schema)});
    }
    out.push_back({"properties", {std::move(properties)}});
  }
  if (!schema.required.empty()) out.push_back({"required", list_of(schema.required)});
  out.push_back({"type", {std::string(name_of(schema.type))}});
  return {std::move(out)};
}

// The published template writes the elements of an array a little differently from a property.
enum class Place { kProperty, kItems };

void write_schema(const ToolSchema& schema, Place place, ChatPieces& out);

void write_properties(const ToolSchema& schema, ChatPieces& out) {
  out.text("properties:{");
  bool first = true;
  for (const ToolProperty* property :
       sorted(schema.properties, [](const ToolProperty& p) { return p.name; })) {
    if (!first) out.text(",");
    first = false;
    out.text(property->name).text(":{");
    write_schema(property->schema, Place::kProperty, out);
    out.text("}");
  }
  out.text("},");
}

void write_required(const ToolSchema& schema, ChatPieces& out) {
  if (schema.required.empty()) return;
  out.text("required:");
  write_strings(schema.required, out);
  out.text(",");
}

void write_type(const ToolSchema& schema, ChatPieces& out) {
  out.text("type:");
  write_string(upper(name_of(schema.type)), out);
}

void write_items(const ToolSchema& items, Place place, ChatPieces& out) {
  out.text("items:");
  if (place == Place::kProperty) {
    out.text("{");
    write_schema(items, Place::kItems, out);
    out.text("}");
  } else {
    // An array in an array is a plain value there: quoted keys, type names as they are.
    write_value(value_of(items), Keys::kQuoted, out);
  }
  out.text(",");
}

void write_schema(const ToolSchema& schema, Place place, ChatPieces& out) {
  check_schema(schema);
  if (!schema.description.empty()) {
    out.text("description:");
    write_string(schema.description, out);
    out.text(",");
  }
  if (!schema.enumeration.empty()) {
    out.text("enum:");
    write_strings(schema.enumeration, out);
    out.text(",");
  }
  if (!schema.items.empty()) write_items(schema.items.front(), place, out);
  if (schema.nullable) out.text("nullable:true,");
  const bool object = schema.type == ToolType::kObject;
  if (object && (place == Place::kProperty || !schema.properties.empty())) {
    write_properties(schema, out);
  }
  write_required(schema, out);
  write_type(schema, out);
}

}  // namespace

void write_tool_declaration(const ToolDeclaration& tool, ChatPieces& out) {
  if (tool.parameters.type != ToolType::kObject) {
    throw std::invalid_argument("the parameters of tool " + tool.name +
                                " must be of type object, found " +
                                std::string(name_of(tool.parameters.type)) + ".");
  }
  out.marker(chat_markers::kToolBegin).text("declaration:").text(tool.name);
  out.text("{description:");
  write_string(tool.description, out);
  out.text(",parameters:{");
  if (!tool.parameters.properties.empty()) write_properties(tool.parameters, out);
  write_required(tool.parameters, out);
  write_type(tool.parameters, out);
  out.text("}}").marker(chat_markers::kToolEnd);
}

void write_tool_call(const ToolCall& call, ChatPieces& out) {
  out.marker(chat_markers::kToolCallBegin).text("call:").text(call.name).text("{");
  write_members(call.arguments, Keys::kBare, out);
  out.text("}").marker(chat_markers::kToolCallEnd);
}

void write_tool_response(const ToolMessage& response, ChatPieces& out) {
  out.marker(chat_markers::kToolResponseBegin).text("response:").text(response.name).text("{");
  if (const auto* mapping = std::get_if<ToolValue::Mapping>(&response.value.value)) {
    write_members(*mapping, Keys::kBare, out);
  } else {
    out.text("value:");
    write_value(response.value, Keys::kBare, out);
  }
  out.text("}").marker(chat_markers::kToolResponseEnd);
}

}  // namespace captiond
