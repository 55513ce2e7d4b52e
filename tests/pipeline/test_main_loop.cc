#define BOOST_TEST_MODULE main_loop
#include <optional>
#include <signal.h>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "pipeline/main_loop.h"

using captiond::MainLoop;
using captiond::post_to_main;
using captiond::StopSignals;
using captiond::Timer;
using std::chrono::milliseconds;

BOOST_AUTO_TEST_CASE(tasks_of_another_thread_run_on_the_main_thread_in_order) {
  MainLoop loop;
  std::vector<int> order;
  std::thread::id ran_on;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      post_to_main([&, i] {
        order.push_back(i);
        ran_on = std::this_thread::get_id();
      });
    }
    post_to_main([&] { loop.quit(); });
  });
  loop.run();
  other.join();
  BOOST_TEST(order.size() == 100u);
  BOOST_TEST(std::is_sorted(order.begin(), order.end()));
  BOOST_TEST((ran_on == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(a_repeating_timer_may_end_itself) {
  MainLoop loop;
  int calls = 0;
  std::optional<Timer> timer;
  timer.emplace(Timer::Kind::kRepeating, milliseconds(1), [&] {
    if (++calls < 3) return;
    timer.reset();
    loop.quit();
  });
  loop.run();
  BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(a_timer_that_is_gone_does_not_fire) {
  MainLoop loop;
  bool fired = false;
  {
    const Timer early(Timer::Kind::kOnce, milliseconds(1), [&] { fired = true; });
  }
  const Timer late(Timer::Kind::kOnce, milliseconds(20), [&] { loop.quit(); });
  loop.run();
  BOOST_TEST(!fired);
}

BOOST_AUTO_TEST_CASE(a_timer_waits_at_least_as_long_as_said) {
  MainLoop loop;
  const auto begin = std::chrono::steady_clock::now();
  const Timer timer(Timer::Kind::kOnce, std::chrono::microseconds(20'500), [&] { loop.quit(); });
  loop.run();
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= std::chrono::microseconds(20'500)));
}

BOOST_AUTO_TEST_CASE(both_signals_arrive_each_time) {
  MainLoop loop;
  int signals = 0;
  const StopSignals watch([&] {
    ++signals;
    if (signals == 1) kill(getpid(), SIGINT);
    if (signals == 2) loop.quit();
  });
  kill(getpid(), SIGTERM);
  loop.run();
  BOOST_TEST(signals == 2);
}
