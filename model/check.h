#pragma once

#include <string_view>

namespace captiond {

// Where a call stands. std::source_location is missing in libstdc++ under clang 14, which fuzzes
// and tidies this code; these builtins are what it is made of.
struct CallSite {
  const char* file;
  int line;
  const char* function;

  static constexpr CallSite current(const char* file = __builtin_FILE(),
                                    int line = __builtin_LINE(),
                                    const char* function = __builtin_FUNCTION()) {
    return {file, line, function};
  }
};

// Aborts with `sentence` and the caller's file and line when `condition` is false. For our own bugs
// only (a broken invariant), never for bad input; always on, unlike assert.
void check(bool condition, std::string_view sentence,
           CallSite where = CallSite::current()) noexcept;

}  // namespace captiond
