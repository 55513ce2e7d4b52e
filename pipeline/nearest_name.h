#pragma once

#include <span>
#include <string>
#include <string_view>

namespace captiond {

// The name of `known` with the fewest edits (insert, delete, replace, swap of neighbours) from
// `wrong`; empty if none is nearer than half the length of `wrong`. Costs |wrong| * |name| steps a
// name, so `wrong` longer than 64 bytes gets none.
std::string nearest_name(std::string_view wrong, std::span<const std::string> known);

// `; did you mean "language"?` for a near name, else "; known are a, b, c", or
// nothing if there are more than 16.
std::string suggestion(std::string_view wrong, std::span<const std::string> known);

}  // namespace captiond
