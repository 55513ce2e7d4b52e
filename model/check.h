#pragma once

#include <source_location>
#include <string_view>

namespace captiond {

// Aborts with `sentence` and the caller's file and line when `condition` is false. For our own bugs
// only (a broken invariant), never for bad input; always on, unlike assert.
void check(bool condition, std::string_view sentence,
           std::source_location where = std::source_location::current()) noexcept;

}  // namespace captiond
