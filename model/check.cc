#include "model/check.h"

#include <cstdio>
#include <cstdlib>

namespace captiond {

void check(bool condition, std::string_view sentence, std::source_location where) noexcept {
  if (condition) return;
  std::fprintf(stderr, "captiond: broken invariant: %.*s (%s:%u in %s)\n",
               static_cast<int>(sentence.size()), sentence.data(), where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  std::abort();
}

}  // namespace captiond
