#define BOOST_TEST_MODULE back_off
#include <chrono>

#include <boost/test/unit_test.hpp>

#include "pipeline/back_off.h"
#include "pipeline/proto_time.h"

using captiond::BackOff;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace v1 = captiond::v1;

namespace {

v1::RestartConfig restart(double jitter) {
  v1::RestartConfig config;
  *config.mutable_delay_min() = captiond::to_duration(milliseconds(500));
  *config.mutable_delay_max() = captiond::to_duration(seconds(3));
  *config.mutable_reset_after() = captiond::to_duration(seconds(30));
  config.set_factor(2);
  config.set_jitter(jitter);
  return config;
}

}  // namespace

BOOST_AUTO_TEST_CASE(delays_grow_up_to_the_longest) {
  BackOff back_off(restart(0), 1);
  for (const milliseconds expected : {milliseconds(500), milliseconds(1000), milliseconds(2000),
                                      milliseconds(3000), milliseconds(3000)}) {
    BOOST_TEST((back_off.next(seconds(1)) == expected));
  }
  BOOST_TEST(back_off.failures() == 5u);
}

BOOST_AUTO_TEST_CASE(a_long_run_begins_anew) {
  BackOff back_off(restart(0), 1);
  back_off.next(seconds(1));
  back_off.next(seconds(1));
  BOOST_TEST((back_off.next(seconds(30)) == milliseconds(500)));
  BOOST_TEST(back_off.failures() == 1u);
}

BOOST_AUTO_TEST_CASE(jitter_stays_in_its_bounds_and_differs) {
  BackOff a(restart(0.2), 1), b(restart(0.2), 2);
  const auto first = a.next(seconds(1)), other = b.next(seconds(1));
  BOOST_TEST((first != other));
  for (const auto delay : {first, other}) {
    BOOST_TEST((delay >= milliseconds(400)));
    BOOST_TEST((delay <= milliseconds(600)));
  }
}

BOOST_AUTO_TEST_CASE(the_longest_allowed_delays_do_not_overflow) {
  v1::RestartConfig config = restart(1);
  *config.mutable_delay_max() = captiond::to_duration(std::chrono::hours(24));
  config.set_factor(10);
  BackOff back_off(config, 1);
  for (int i = 0; i < 100; ++i) {
    const auto delay = back_off.next(seconds(1));
    BOOST_TEST((delay >= seconds(0)));
    BOOST_TEST((delay <= std::chrono::hours(48)));
  }
}
