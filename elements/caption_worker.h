#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "elements/caption_ports.h"
#include "elements/work_queue.h"

namespace captiond {

// What those need who do not bring the media themselves.
class CaptionWorkerControl {
 public:
  virtual ~CaptionWorkerControl() = default;

  virtual void set_live(bool live) = 0;

  // Has the captioner finish what it was given so far, tell all about it, and then calls `then` on
  // the worker's thread, before anything pushed later. False: refused, as after an error.
  virtual bool finish_then(std::function<void()> then) = 0;

  // Drops everything; when this returns nothing of it will be told any more. Pushes are refused
  // until stop_flush(). `emit` must not be blocked for good while this waits.
  virtual void flush() = 0;
  virtual void stop_flush() = 0;

  // Ends the thread without finishing anything. `emit` must not be blocked for good.
  virtual void stop() = 0;
};

// The thread on which one captioner (SpeechCaptioner, SceneCaptioner) lives, between streaming
// threads that bring media and the engine's thread that brings answers. It takes media only while
// the captioner accepts them, so that a source that can wait is slowed down by push().
//
// Of any thread: push() and the controls, except that only one may flush() or stop() at a time.
template <class Captioner>
class CaptionWorker final : public CaptionWorkerControl {
 public:
  using Item = typename Captioner::Item;
  using Queue = WorkQueue<Item>;
  using Pushed = typename Queue::Pushed;
  using Post = std::function<void(std::function<void()>)>;

  // `make` builds the captioner, on the calling thread; what it throws comes out here. `failed` is
  // called at most once, on the worker's thread, with the error that ended it; from then on all
  // pushes are refused as closed.
  CaptionWorker(std::size_t capacity, const std::function<std::unique_ptr<Captioner>(Post)>& make,
                std::function<void(std::exception_ptr)> failed)
      : queue_(std::make_shared<Queue>(capacity)),
        captioner_(make(
            [queue = queue_](std::function<void()> closure) { queue->post(std::move(closure)); })),
        failed_(std::move(failed)),
        thread_([this] { work(); }) {}

  ~CaptionWorker() override { join(); }
  CaptionWorker(const CaptionWorker&) = delete;
  CaptionWorker& operator=(const CaptionWorker&) = delete;

  void set_live(bool live) override {
    queue_->set_live(live);
    queue_->post([this, live] { captioner_->set_live(live); });
  }

  Pushed push(Item item) { return queue_->push(std::move(item)); }

  bool finish_then(std::function<void()> then) override {
    return queue_->push(typename Queue::Barrier{std::move(then)}) == Pushed::kTaken;
  }

  void flush() override {
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> dropped = done->get_future();
    queue_->start_flush([this, done = std::move(done)] {
      captioner_->reset();
      passing_.reset();
      done->set_value();
    });
    dropped.wait();  // also when the thread has ended: then the promise is broken, and that is fine
  }
  void stop_flush() override { queue_->stop_flush(); }

  void stop() override { join(); }

 private:
  void join() {
    queue_->close();
    if (thread_.joinable()) thread_.join();
  }

  void work() noexcept {
    try {
      while (auto work = queue_->pop(!passing_ && captioner_->accepts())) {
        if (work->lost) captioner_->lost(work->lost->first, work->lost->count);
        if (auto* closure = std::get_if<typename Queue::Closure>(&work->what)) {
          (*closure)();
        } else if (auto* item = std::get_if<Item>(&work->what)) {
          captioner_->take(std::move(*item));
        } else {
          passing_ = std::move(std::get<typename Queue::Barrier>(work->what).passed);
          captioner_->finish();
        }
        if (passing_ && captioner_->idle()) std::exchange(passing_, std::nullopt).value()();
      }
    } catch (...) {
      failed_(std::current_exception());  // told before a push is refused because of it
      queue_->close();
    }
  }

  const std::shared_ptr<Queue> queue_;          // the engine's callbacks may outlive the worker
  const std::unique_ptr<Captioner> captioner_;  // the worker's thread only
  const std::function<void(std::exception_ptr)> failed_;
  std::optional<std::function<void()>> passing_;  // the worker's thread only
  std::thread thread_;                            // last: it uses all of the above
};

}  // namespace captiond
