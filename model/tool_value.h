#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace captiond {

struct ToolMember;

// A value as JSON knows them: an argument of a tool call, or what a tool answers.
struct ToolValue {
  using List = std::vector<ToolValue>;
  using Mapping = std::vector<ToolMember>;

  // std::monostate is null; numbers are finite.
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Mapping> value;
};

// A key and its value. Keys of one mapping differ; their order is kept but never rendered.
struct ToolMember {
  std::string key;
  ToolValue value;
};

bool operator==(const ToolValue& left, const ToolValue& right);
bool operator==(const ToolMember& left, const ToolMember& right);

}  // namespace captiond
