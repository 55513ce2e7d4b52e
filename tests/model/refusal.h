#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/checkpoint_error.h"

namespace captiond::test {

// Runs `open`, which must throw a CheckpointError whose text is one line, ends with a full stop,
// starts with `file` and holds each of `parts`. Returns the text, for a further look.
inline std::string check_refusal(const std::function<void()>& open, std::string_view file,
                                 const std::vector<std::string>& parts) {
  try {
    open();
  } catch (const CheckpointError& error) {
    const std::string text = error.what();
    BOOST_TEST_INFO("the message: " << text);
    BOOST_TEST(text.starts_with(file));
    BOOST_TEST(text.ends_with("."));
    BOOST_TEST(text.find('\n') == std::string::npos);
    for (const std::string& part : parts) {
      BOOST_TEST(text.find(part) != std::string::npos, "[" << text << "] lacks [" << part << "]");
    }
    return text;
  }
  std::string wanted;
  for (const std::string& part : parts) wanted += " [" + part + "]";
  BOOST_ERROR("nothing was refused; wanted" << wanted);
  return {};
}

}  // namespace captiond::test
