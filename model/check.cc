#include "model/check.h"

#include <cstdio>
#include <cstdlib>

namespace captiond {

void check(bool condition, std::string_view sentence, CallSite where) noexcept {
  if (condition) return;
  std::fprintf(stderr, "captiond: broken invariant: %.*s (%s:%d in %s)\n",
               static_cast<int>(sentence.size()), sentence.data(), where.file, where.line,
               where.function);
  std::abort();
}

}  // namespace captiond
