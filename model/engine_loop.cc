#include "model/engine_loop.h"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <utility>
#include <variant>

#include "model/decode_ahead.h"

namespace captiond {

EngineLoop::EngineLoop(const Setting& setting, std::unique_ptr<Forward> forward)
    : rules_(std::make_shared<const SequenceRules>(setting.rules)),
      forward_(std::move(forward)),
      sliding_pool_(setting.has_sliding_layers ? setting.pages : 0),
      full_pool_(setting.pages),
      pools_{setting.has_sliding_layers ? &sliding_pool_ : nullptr, &full_pool_},
      scheduler_(setting.step_rows_max, setting.prompt_rows_max),
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
    auto began = std::chrono::steady_clock::now();
    settle();
    StepPlan plan = scheduler_.plan(sequences_);
    if (can_run_ahead(plan)) {
      run_ahead(std::move(plan), began);
    } else if (!plan.sequences.empty()) {
      execute(plan);
      settle();
    }
    count_time(began);
  }
}

// Counts from `began` on and moves it to now.
void EngineLoop::count_time(std::chrono::steady_clock::time_point& began) {
  const auto seconds = [](std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  const auto now = std::chrono::steady_clock::now();
  const double busy_s = seconds(now - std::exchange(began, now));
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
  hand_over(plan, [&](const RowSink& sink) { forward_->run(plan.step, sink); });
}

// -- Decode steps, each begun before the results of the one in front are handed over.

bool EngineLoop::can_run_ahead(const StepPlan& plan) const {
  const DecodeAhead* ahead = forward_->decode_ahead();
  if (ahead == nullptr || plan.sequences.empty() || !plan.step.heads.empty()) return false;
  // Each sequence has one row, whose output is its own.
  return plan.step.rows() <= ahead->rows_max() && plan.step.rows() == plan.step.outputs.size() &&
         plan.step.slices.size() == plan.step.outputs.size() &&
         plan.sequences.size() == plan.step.outputs.size() &&
         std::all_of(
             plan.step.slices.begin(), plan.step.slices.end(),
             [](const StepSlice& slice) { return std::holds_alternative<IdRows>(slice.rows); }) &&
         std::all_of(plan.step.outputs.begin(), plan.step.outputs.end(), [](const OutputRow& row) {
           return row.output == RowOutput::kGreedy || row.output == RowOutput::kSampled;
         });
}

void EngineLoop::run_ahead(StepPlan plan, std::chrono::steady_clock::time_point& began) {
  DecodeAhead& ahead = *forward_->decode_ahead();
  try {
    ahead.start(plan.step);
  } catch (const std::exception& error) {
    return fail(plan, error);
  }
  for (bool more = true; more;) {
    const auto held = sequences_;  // one that dies meanwhile is still named by the next step
    StepPlan next = plan_followers(plan);
    more = !next.sequences.empty();
    try {
      if (more) ahead.start(next.step);
    } catch (const std::exception&) {
      // The same rows are planned again when their tokens are known; the error counts then.
      more = false;
      next = {};
    }
    hand_over(plan, [&](const RowSink& sink) { ahead.finish(sink); });
    settle();
    next.sequences.clear();
    for (OutputUse& use : next.output_uses) {
      const bool goes_on = use.sequence->follow();
      // A token that ended its generation had a row all the same: that row's result is void.
      if (goes_on) next.sequences.push_back(use.sequence);
      if (!goes_on) use.sequence = nullptr;
    }
    plan = std::move(next);
    count_time(began);
  }
}

// The rows behind those of `plan` while it is under way; none where somebody else is to be served.
StepPlan EngineLoop::plan_followers(const StepPlan& plan) {
  StepPlan next;
  {
    const std::lock_guard lock(mutex_);
    if (!inbox_.empty()) return next;
  }
  const auto wanting = std::count_if(sequences_.begin(), sequences_.end(),
                                     [](const auto& sequence) { return sequence->wants_rows(); });
  if (static_cast<std::size_t>(wanting) != plan.sequences.size()) return next;
  for (std::size_t i = 0; i < plan.output_uses.size(); ++i) {
    Sequence* sequence = plan.output_uses[i].sequence;
    if (sequence != nullptr && sequence->can_be_followed()) sequence->plan_follower(next, i);
  }
  for (std::size_t i = 0; i < next.step.slices.size(); ++i) {
    next.slice_owners[i]->set_pages(next.step.slices[i]);
  }
  return next;
}

void EngineLoop::hand_over(StepPlan& plan, const std::function<void(const RowSink&)>& compute) {
  const std::size_t heads = plan.head_uses.size();
  std::vector<std::pair<Sequence*, std::exception_ptr>> failed;
  const auto has_failed = [&](const Sequence* sequence) {
    return std::any_of(failed.begin(), failed.end(),
                       [&](const auto& entry) { return entry.first == sequence; });
  };
  const auto began = std::chrono::steady_clock::now();
  try {
    compute([&](std::size_t index, const RowResult& result) {
      const OutputUse& use =
          index < heads ? plan.head_uses[index] : plan.output_uses[index - heads];
      if (use.sequence == nullptr || has_failed(use.sequence)) return;
      try {
        use.sequence->take(use, result);
      } catch (const std::exception&) {
        failed.emplace_back(use.sequence, std::current_exception());
      }
    });
  } catch (const std::exception& error) {
    return fail(plan, error);
  }
  in_forward_ += std::chrono::steady_clock::now() - began;
  for (const auto& [sequence, error] : failed) {
    sequence->fail(error);
    std::erase(plan.sequences, sequence);
  }
  complete(plan);
}

// Inside of the handler that caught `error`.
void EngineLoop::fail(StepPlan& plan, const std::exception& error) {
  const auto* lost = dynamic_cast<const DeviceLost*>(&error);
  if (lost != nullptr && device_lost_) std::exchange(device_lost_, {})(lost->what());
  for (Sequence* sequence : plan.sequences) sequence->fail(std::current_exception());
  plan.sequences.clear();
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
