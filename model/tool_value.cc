#include "model/tool_value.h"

namespace captiond {

bool operator==(const ToolValue& left, const ToolValue& right) { return left.value == right.value; }

bool operator==(const ToolMember& left, const ToolMember& right) {
  return left.key == right.key && left.value == right.value;
}

}  // namespace captiond
