#pragma once

#include <stdexcept>

namespace captiond {

// A configuration that cannot be used. what() is one full sentence that says where (file, line and
// column, or the key), what is allowed and what was found.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace captiond
