#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/check.h"

namespace captiond {

// Many short strings in one block of memory: a vocabulary of 262,144 tokens and 514,906 merges as
// std::string would be 60 MB of mostly empty small-string buffers.
class StringPool {
 public:
  void push(std::string_view text) {
    text_ += text;
    ends_.push_back(text_.size());
  }

  // Valid until the next push().
  std::string_view operator[](std::size_t i) const {
    check(i < ends_.size(), "a string pool is read past its end");
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }

  std::size_t size() const { return ends_.size(); }

 private:
  std::string text_;
  std::vector<std::size_t> ends_;
};

}  // namespace captiond
