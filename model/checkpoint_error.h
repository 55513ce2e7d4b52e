#pragma once

#include <stdexcept>

namespace captiond {

// A checkpoint folder that cannot be used. what() is one full sentence that names the file, the key
// or tensor, what was expected and what was found.
class CheckpointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace captiond
