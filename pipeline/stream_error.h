#pragma once

#include <stdexcept>

namespace captiond {

// A stream that cannot be set up. what() is one full sentence.
class StreamError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace captiond
