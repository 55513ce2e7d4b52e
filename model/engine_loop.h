#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model/engine.h"
#include "model/forward.h"
#include "model/kv_pool.h"
#include "model/scheduler.h"
#include "model/sequence.h"

namespace captiond {

// The one thread that computes, and the queue that leads to it. Owners of contexts post requests
// under the mutex, the thread takes them all at once between two steps. The queue has no bound of
// its own: what one context may have waiting is bounded by max_position_embeddings.
class EngineLoop {
 public:
  struct Setting {
    std::size_t step_rows_max = 512;
    std::size_t prompt_rows_max = 512;  // at least step_rows_max
    std::size_t pages = 4096;           // of each group
    bool has_sliding_layers = true;
    SequenceRules rules;
    std::function<void(const std::string& sentence)> device_lost = {};  // see EngineOptions
  };

  EngineLoop(const Setting& setting, std::unique_ptr<Forward> forward);
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // Starts the thread, which keeps `self` alive until it ends.
  static void start(const std::shared_ptr<EngineLoop>& self);

  // Ends the thread once every context is gone (they are: each holds the engine), and waits for it
  // unless called on it.
  void stop();

  // Any thread.
  std::shared_ptr<Sequence> new_sequence(LogitsSink sink) const;

  // Runs `change` on the sequence's ledger and posts the request that it returns, as one act.
  // What `change` throws passes through, with nothing posted.
  template <typename Change>
  void post(const std::shared_ptr<Sequence>& sequence, const Change& change) {
    const std::lock_guard lock(mutex_);
    inbox_.push_back({.sequence = sequence, .request = change(sequence->ledger)});
    // Under the lock: once it is free, a callback may already have ended all of this.
    wake_.notify_one();
  }
  // The owner is gone.
  void abandon(std::shared_ptr<Sequence> sequence);

  std::size_t length(const Sequence& sequence) const;
  Engine::Statistics statistics() const;

 private:
  struct Post {
    std::shared_ptr<Sequence> sequence;
    std::optional<Request> request;  // nullopt: abandon
  };

  void run();
  void take_inbox();  // needs mutex_
  void settle();
  void execute(StepPlan& plan);
  bool can_run_ahead(const StepPlan& plan) const;
  void run_ahead(StepPlan plan, std::chrono::steady_clock::time_point& began);
  StepPlan plan_followers(const StepPlan& plan);
  void hand_over(StepPlan& plan, const std::function<void(const RowSink&)>& compute);
  void fail(StepPlan& plan, const std::exception& error);
  void count_time(std::chrono::steady_clock::time_point& began);
  void complete(const StepPlan& plan);
  void remove_dead();

  const std::shared_ptr<const SequenceRules> rules_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Post> inbox_;        // guarded by mutex_
  bool stopping_ = false;          // guarded by mutex_
  Engine::Statistics statistics_;  // guarded by mutex_

  // Engine thread only.
  std::unique_ptr<Forward> forward_;
  KvPool sliding_pool_;
  KvPool full_pool_;
  KvPools pools_;  // constant after construction
  Scheduler scheduler_;
  std::vector<std::shared_ptr<Sequence>> sequences_;
  std::chrono::steady_clock::duration in_forward_{};
  std::function<void(const std::string& sentence)> device_lost_;  // empty once told

  std::thread thread_;  // constant between start() and stop()
};

}  // namespace captiond
