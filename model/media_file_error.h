#pragma once

#include <stdexcept>

namespace captiond {

// A media file that cannot be read as it is. what() is one sentence that names the file.
class MediaFileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace captiond
