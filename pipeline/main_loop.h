// The GLib main loop of the default context, which runs on the main thread: all decisions of the
// daemon are made there.
#pragma once

#include <chrono>
#include <functional>

#include <glib.h>

namespace captiond {

// Runs `task` on the main loop, soon. Any thread; tasks of one thread run in order. A task must not
// throw.
void post_to_main(std::function<void()> task);

// Calls `task` on the main loop until the object goes, which it may do in the call. Main thread
// only. A task must not throw.
class Timer {
 public:
  enum class Kind { kOnce, kRepeating };
  // The first call comes after `delay` (counted in whole milliseconds, rounded up).
  Timer(Kind kind, std::chrono::nanoseconds delay, std::function<void()> task);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  GSource* source_;
};

// Calls `task` on the main loop for each SIGINT and SIGTERM until the object goes. Main thread
// only. A task must not throw.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> task);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::function<void()> task_;
  guint interrupt_;
  guint terminate_;
};

// run() returns after quit(). Main thread only.
class MainLoop {
 public:
  MainLoop();
  ~MainLoop();
  MainLoop(const MainLoop&) = delete;
  MainLoop& operator=(const MainLoop&) = delete;

  void run();
  void quit();

 private:
  GMainLoop* loop_;
};

}  // namespace captiond
