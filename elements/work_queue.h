#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace captiond {

// What reaches a captioner's thread: media in order, barriers in order with the media, and urgent
// closures (answers of the engine, commands) before both. Safe from any thread; one thread pops.
//
// Media are bounded by `capacity`; when full, push() waits, or for a live source drops the oldest
// item and counts it. Barriers and closures are not bounded here but by who makes them: a barrier
// is an event of the stream, a closure the answer to one of a few requests in flight.
template <class Item>
class WorkQueue {
 public:
  using Closure = std::function<void()>;
  struct Barrier {
    Closure passed;
  };
  // Items given up since the last pop, all older than what is popped now.
  struct Lost {
    Item first;
    std::size_t count = 0;
  };
  struct Work {
    std::variant<Closure, Barrier, Item> what;
    std::optional<Lost> lost;
  };
  enum class Pushed { kTaken, kFlushing, kClosed };

  explicit WorkQueue(std::size_t capacity) : capacity_(capacity) {}

  void set_live(bool live) {
    {
      std::lock_guard lock(mutex_);
      live_ = live;
    }
    changed_.notify_all();
  }

  Pushed push(Item item) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || flushing_ || live_ || items_ < capacity_; });
      if (closed_) return Pushed::kClosed;
      if (flushing_) return Pushed::kFlushing;
      if (items_ >= capacity_) drop_oldest();
      media_.push_back(std::move(item));
      ++items_;
    }
    changed_.notify_all();
    return Pushed::kTaken;
  }

  // `barrier` is popped when all media pushed before it have been.
  Pushed push(Barrier barrier) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return Pushed::kClosed;
      if (flushing_) return Pushed::kFlushing;
      media_.push_back(std::move(barrier));
    }
    changed_.notify_all();
    return Pushed::kTaken;
  }

  // Dropped when the queue is closed.
  void post(Closure closure) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      closures_.push_back(std::move(closure));
    }
    changed_.notify_all();
  }

  // Drops all that waits, refuses media and barriers until stop_flush(), and has `first` popped
  // before all else.
  void start_flush(Closure first) {
    {
      std::lock_guard lock(mutex_);
      media_.clear();
      closures_.clear();
      lost_.reset();
      items_ = 0;
      flushing_ = true;
      if (!closed_) closures_.push_back(std::move(first));
    }
    changed_.notify_all();
  }
  void stop_flush() {
    std::lock_guard lock(mutex_);
    flushing_ = false;
  }

  // Wakes everyone, for good; what waits is dropped.
  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      media_.clear();
      closures_.clear();
    }
    changed_.notify_all();
  }

  // Waits for a closure or, if `media_too`, whatever is next; nullopt once closed.
  std::optional<Work> pop(bool media_too) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(
          lock, [&] { return closed_ || !closures_.empty() || (media_too && !media_.empty()); });
      if (closed_) return std::nullopt;
      if (!closures_.empty()) {
        work.what = std::move(closures_.front());
        closures_.pop_front();
        return work;
      }
      work.lost = std::exchange(lost_, std::nullopt);
      if (auto* item = std::get_if<Item>(&media_.front())) {
        work.what = std::move(*item);
        --items_;
      } else {
        work.what = std::move(std::get<Barrier>(media_.front()));
      }
      media_.pop_front();
    }
    changed_.notify_all();
    return work;
  }

 private:
  void drop_oldest() {
    const auto oldest = std::find_if(media_.begin(), media_.end(), [](const auto& entry) {
      return std::holds_alternative<Item>(entry);
    });
    if (!lost_) lost_.emplace(Lost{std::move(std::get<Item>(*oldest)), 0});
    ++lost_->count;
    media_.erase(oldest);
    --items_;
  }

  const std::size_t capacity_;
  std::mutex mutex_;  // guards all that follows
  std::condition_variable changed_;
  std::deque<std::variant<Item, Barrier>> media_;
  std::size_t items_ = 0;  // of media_ that are no barriers
  std::deque<Closure> closures_;
  std::optional<Lost> lost_;
  bool live_ = false;
  bool flushing_ = false;
  bool closed_ = false;
};

}  // namespace captiond
