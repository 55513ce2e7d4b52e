// What an engine does once its device has failed for good.
#define BOOST_TEST_MODULE device_loss

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/model/toy_engine.h"

using namespace captiond;
using namespace captiond::test;

BOOST_AUTO_TEST_CASE(a_lost_device_is_told_once_and_ends_every_context) {
  std::vector<std::string> told;
  const auto engine =
      open_toy({.before_step = [](const Step&) { throw DeviceLost("It fell off."); },
                .device_lost = [&](const std::string& sentence) { told.push_back(sentence); }});
  for (int i = 0; i < 3; ++i) {
    const auto context = engine->new_context();
    context->append(toy_prompt(5, 1));
    BOOST_CHECK_THROW(context->generate(tokens(3)).get(), DeviceLost);
  }
  BOOST_TEST(told == std::vector<std::string>{"It fell off."});
}
