#include "model/engine_loop.h"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>

namespace captiond {

EngineLoop::EngineLoop(const Setting& setting, std::unique_ptr<Forward> forward)
    : rules_(std::make_shared<const SequenceRules>(setting.rules)),
      forward_(std::move(forward)),
      sliding_pool_(setting.has_sliding_layers ? setting.pages : 0),
      full_pool_(setting.pages),
      pools_{setting.has_sliding_layers ? &sliding_pool_ : nullptr, &full_pool_},
      scheduler_(setting.step_rows_max),
      device_lost_(setting.device_lost) {
  statistics_.kv_pages_total = sliding_pool_.total() + full_pool_.total();
}

EngineLoop::~EngineLoop() = default;

void EngineLoop::start(const std::shared_ptr<EngineLoop>& self) {
  self->thread_ = std::thread([self] { self->run(); });
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a callback dropped the engine; the thread ends on its own
  } else {
    thread_.join();
  }
}

std::shared_ptr<Sequence> EngineLoop::new_sequence(LogitsSink sink) const {
  return std::make_shared<Sequence>(rules_, pools_, std::move(sink));
}

void EngineLoop::abandon(std::shared_ptr<Sequence> sequence) {
  const std::lock_guard lock(mutex_);
  inbox_.push_back({.sequence = std::move(sequence), .request = std::nullopt});
  wake_.notify_one();
}

std::size_t EngineLoop::length(const Sequence& sequence) const {
  const std::lock_guard lock(mutex_);
  return sequence.ledger.length();
}

Engine::Statistics EngineLoop::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void EngineLoop::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto busy = [&] {
        return !inbox_.empty() ||
               std::any_of(sequences_.begin(), sequences_.end(),
                           [](const auto& sequence) { return sequence->wants_rows(); });
      };
      wake_.wait(lock, [&] { return busy() || (stopping_ && sequences_.empty()); });
      if (!busy()) return;
      take_inbox();
    }
    const auto began = std::chrono::steady_clock::now();
    settle();
    StepPlan plan = scheduler_.plan(sequences_);
    if (!plan.sequences.empty()) execute(plan);
    settle();
    count_time(began);
  }
}

void EngineLoop::count_time(std::chrono::steady_clock::time_point began) {
  const auto seconds = [](std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  const double busy_s = seconds(std::chrono::steady_clock::now() - began);
  const std::lock_guard lock(mutex_);
  statistics_.busy_s += busy_s;
  statistics_.forward_s = seconds(in_forward_);
  statistics_.device_s = forward_->device_seconds();
}

void EngineLoop::take_inbox() {
  for (Post& post : inbox_) {
    Sequence& sequence = *post.sequence;
    if (post.request) {
      sequence.accept(std::move(*post.request));
    } else {
      sequence.abandon();
    }
    if (!sequence.listed) {
      sequence.listed = true;
      sequences_.push_back(std::move(post.sequence));
    }
  }
  inbox_.clear();
}

void EngineLoop::settle() {
  // What nobody needs goes first: who is told of his work afterwards finds its pages free.
  for (const auto& sequence : sequences_) {
    if (sequence->abandoned()) sequence->settle();
  }
  remove_dead();
  // A fork that is made here may have requests of its own to settle; it stands behind its parent,
  // since its first request was posted later.
  for (const auto& sequence : sequences_) {
    try {
      sequence->settle();
    } catch (const RequestError&) {
      sequence->fail(std::current_exception());
    }
  }
}

void EngineLoop::execute(StepPlan& plan) {
  const std::size_t heads = plan.head_uses.size();
  std::vector<std::pair<Sequence*, std::exception_ptr>> failed;
  const auto has_failed = [&](const Sequence* sequence) {
    return std::any_of(failed.begin(), failed.end(),
                       [&](const auto& entry) { return entry.first == sequence; });
  };
  const auto began = std::chrono::steady_clock::now();
  try {
    forward_->run(plan.step, [&](std::size_t index, const RowResult& result) {
      const OutputUse& use =
          index < heads ? plan.head_uses[index] : plan.output_uses[index - heads];
      if (has_failed(use.sequence)) return;
      try {
        use.sequence->take(use, result);
      } catch (const std::exception&) {
        failed.emplace_back(use.sequence, std::current_exception());
      }
    });
  } catch (const std::exception& error) {
    const auto* lost = dynamic_cast<const DeviceLost*>(&error);
    if (lost != nullptr && device_lost_) std::exchange(device_lost_, {})(lost->what());
    for (Sequence* sequence : plan.sequences) sequence->fail(std::current_exception());
    plan.sequences.clear();
    return;
  }
  in_forward_ += std::chrono::steady_clock::now() - began;
  for (const auto& [sequence, error] : failed) {
    sequence->fail(error);
    std::erase(plan.sequences, sequence);
  }
  complete(plan);
}

void EngineLoop::complete(const StepPlan& plan) {
  std::vector<Sequence*> finished;
  for (Sequence* sequence : plan.sequences) {
    if (sequence->complete_step()) finished.push_back(sequence);
  }
  {
    const std::lock_guard lock(mutex_);
    take_inbox();  // a fork that was just posted must hear of the new length as well
    for (Sequence* sequence : finished) {
      sequence->note_generated();
      statistics_.tokens_generated += sequence->generation().tokens();
      statistics_.draft_accepted += sequence->generation().draft_accepted();
    }
    ++statistics_.steps;
    statistics_.rows += plan.step.rows();
    statistics_.kv_pages_used = sliding_pool_.used() + full_pool_.used();
  }
  for (Sequence* sequence : finished) sequence->finish_generation();
}

void EngineLoop::remove_dead() {
  std::erase_if(sequences_, [](const auto& sequence) {
    if (!sequence->dead()) return false;
    sequence->release_pages();
    return true;
  });
  const std::lock_guard lock(mutex_);
  statistics_.kv_pages_used = sliding_pool_.used() + full_pool_.used();
}

}  // namespace captiond
