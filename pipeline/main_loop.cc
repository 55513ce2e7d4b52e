#include "pipeline/main_loop.h"

#include <csignal>
#include <utility>

#include <glib-unix.h>

namespace captiond {
namespace {

struct Task {
  std::function<void()> run;
  bool repeat;
};

// noexcept: an exception has no way through GLib, and a task that throws is a bug.
gboolean run_task(gpointer data) noexcept {
  const auto* task = static_cast<Task*>(data);
  const bool repeat = task->repeat;
  task->run();
  return repeat ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

// GLib keeps the task alive while it runs, even if the source is destroyed meanwhile.
void attach(GSource* source, std::function<void()> task, bool repeat) {
  g_source_set_callback(source, run_task, new Task{std::move(task), repeat},
                        [](gpointer data) { delete static_cast<Task*>(data); });
  g_source_attach(source, nullptr);
}

gboolean run_signal_task(gpointer data) noexcept {
  (*static_cast<std::function<void()>*>(data))();
  return G_SOURCE_CONTINUE;
}

}  // namespace

void post_to_main(std::function<void()> task) {
  // An idle source of high priority rather than g_main_context_invoke(), which runs the task on the
  // calling thread while nobody owns the context.
  GSource* source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  attach(source, std::move(task), false);
  g_source_unref(source);
}

Timer::Timer(Kind kind, std::chrono::nanoseconds delay, std::function<void()> task)
    : source_(g_timeout_source_new(
          static_cast<guint>(std::chrono::ceil<std::chrono::milliseconds>(delay).count()))) {
  attach(source_, std::move(task), kind == Kind::kRepeating);
}

Timer::~Timer() {
  g_source_destroy(source_);
  g_source_unref(source_);
}

StopSignals::StopSignals(std::function<void()> task)
    : task_(std::move(task)),
      interrupt_(g_unix_signal_add(SIGINT, run_signal_task, &task_)),
      terminate_(g_unix_signal_add(SIGTERM, run_signal_task, &task_)) {}

StopSignals::~StopSignals() {
  g_source_remove(interrupt_);
  g_source_remove(terminate_);
}

MainLoop::MainLoop() : loop_(g_main_loop_new(nullptr, FALSE)) {}
MainLoop::~MainLoop() { g_main_loop_unref(loop_); }
void MainLoop::run() { g_main_loop_run(loop_); }
void MainLoop::quit() { g_main_loop_quit(loop_); }

}  // namespace captiond
