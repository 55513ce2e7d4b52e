#pragma once

#include <string>
#include <vector>

namespace captiond {

enum class ToolType { kString, kNumber, kInteger, kBoolean, kArray, kObject };

struct ToolProperty;

// What a tool takes, as far as the chat format can say it: JSON Schema's anyOf, oneOf, $ref, const
// and enumerations of other things than strings have no place in it.
struct ToolSchema {
  ToolType type = ToolType::kString;
  std::string description;               // empty: none
  std::vector<std::string> enumeration;  // strings only: what may be given; empty: anything
  std::vector<ToolSchema> items;         // arrays only: none, or the one schema of every element
  std::vector<ToolProperty> properties;  // objects only
  std::vector<std::string> required;     // objects only
  bool nullable = false;
};

struct ToolProperty {
  std::string name;
  ToolSchema schema;
};

// A tool that the model may call.
struct ToolDeclaration {
  std::string name;
  std::string description;
  ToolSchema parameters{ToolType::kObject, {}, {}, {}, {}, {}, false};
};

}  // namespace captiond
