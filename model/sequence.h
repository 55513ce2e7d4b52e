#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "model/context_ledger.h"
#include "model/engine.h"
#include "model/input_history.h"
#include "model/kv_pool.h"
#include "model/kv_table.h"
#include "model/request.h"
#include "model/running_generation.h"
#include "model/step.h"

namespace captiond {

// What all sequences of an engine have in common. Constant.
struct SequenceRules {
  std::size_t sliding_window = 0;
  std::size_t positions_max = 0;    // max_position_embeddings
  std::vector<TokenId> stop;        // ascending; the checkpoint's eos ids
  std::vector<TokenId> suppressed;  // ascending; never chosen
};

// By KvGroup; null where the model has no layers of the group. Outlive every sequence.
using KvPools = std::array<KvPool*, kKvGroupCount>;

// Whose an output of a step is, and what for.
struct OutputUse {
  Sequence* sequence = nullptr;
  std::optional<std::size_t> sink_position;  // goes to the LogitsSink
  bool generation = false;                   // chooses a token
  bool last = false;                         // its hidden state is kept: no row follows it
};

// A step and what becomes of its results.
struct StepPlan {
  Step step;
  std::vector<OutputUse> head_uses;                            // one a head row of the step
  std::vector<OutputUse> output_uses;                          // one an output of the step
  std::vector<Sequence*> slice_owners;                         // one a slice of the step
  std::vector<Sequence*> sequences;                            // that take part, each once
  std::vector<std::shared_ptr<const VisionPatches>> pictures;  // what slices borrow from
};

// One context as the engine's thread sees it: the requests still to be done, the positions done so
// far with their pages, and the generation under way. Engine thread only, but for `ledger`.
class Sequence {
 public:
  Sequence(std::shared_ptr<const SequenceRules> rules, const KvPools& pools, LogitsSink sink);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  ContextLedger ledger;  // guarded by the engine's mutex

  const std::shared_ptr<const SequenceRules>& rules() const { return rules_; }

  // A fork waits until its parent has come to the request that makes it.
  void wait_for_parent() { waits_for_parent_ = true; }

  void accept(Request request);

  // The owner is gone: requests that nobody waits for any more are cancelled by the next settle().
  void abandon() { abandoned_ = true; }
  bool abandoned() const { return abandoned_; }
  // Abandoned, and no fork of it is still to be made.
  bool dead() const;

  // Does what needs no rows: truncates, forks, flushes, cancels; gives errors to who waits for
  // them. Callbacks run inside.
  void settle();

  // Whether rows or head rows are to be computed next.
  bool wants_rows() const;
  bool decodes() const { return generation_.has_value(); }
  // Of the generation under way or asked for next, or of one that a fork still to be made wants.
  std::chrono::steady_clock::time_point deadline() const;

  // Adds at most `rows_max` rows to `plan` (a picture goes in whole, and with `oversize` even when
  // it has more) and returns how many. Throws KvExhausted or RequestError with nothing added.
  std::size_t plan(StepPlan& plan, std::size_t rows_max, bool oversize);

  // Whether the token that the step under way chooses may get a row in the next one before it is
  // known: a generation that goes on unless the token ends it, without a draft, with pages.
  bool can_be_followed() const;
  // Adds that row, for what output `output` of the step under way chooses. Nothing is counted as
  // planned before follow().
  void plan_follower(StepPlan& plan, std::size_t output);
  // Once that step is complete: whether its token goes on, so that the row is the next planned one.
  // Otherwise the row is void, and its pages go back.
  bool follow();

  // After plan() gave this sequence rows: makes the fork that is asked for right behind them, so
  // that its own rows can be in the same step. Null where there is none, or where it needs results
  // of the step.
  Sequence* fork_in_step();

  // The pages of one slice of this sequence, once all rows of the step are planned.
  void set_pages(StepSlice& slice) const;

  // A result of the step. Throws std::runtime_error when the logits are not finite.
  void take(const OutputUse& use, const RowResult& result);

  // After the step has run: rows that a draft did not win are rolled back and old pages of sliding
  // layers are given back. True: the generation is finished, report it to the ledger with
  // note_generated(), then call finish_generation().
  bool complete_step();
  const RunningGeneration& generation() const { return *generation_; }
  // Needs the engine's mutex: the ledgers of this context and of the forks made after.
  void note_generated();
  void finish_generation();

  // Gives up: pages go back at once, all who wait get `error`, now and for later requests.
  void fail(std::exception_ptr error);

  // Gives all pages back; of a dead sequence only.
  void release_pages();

  std::size_t length() const { return length_; }
  bool listed = false;            // the loop knows it
  std::uint64_t last_served = 0;  // when the scheduler last gave it rows; 0: never

 private:
  // Whether somebody may want to go on right behind the request at the front.
  bool last_row_wanted() const;
  std::size_t plan_append(StepPlan& plan, std::size_t rows_max, bool oversize);
  std::size_t plan_generation(StepPlan& plan, std::size_t rows_max, bool last_row_planned);
  StepSlice& add_slice(StepPlan& plan, std::size_t first, std::size_t count, SliceRows rows);
  void add_output(StepPlan& plan, const OutputRow& output, const OutputUse& use);
  void reserve(StepPlan& plan, std::size_t first, std::size_t end);
  void start_generation();
  void note_generated(std::uint64_t request, std::size_t tokens);

  bool needed() const;
  void cancel_unneeded();
  void drop(Request& request);
  void settle_failed();
  void truncate(std::size_t length);
  enum class ForkTime { kBetweenSteps, kInStep };
  void fork_into(Sequence& child, ForkTime time) const;
  void roll_back(std::size_t length);
  void release_old_pages();

  const std::shared_ptr<const SequenceRules> rules_;
  const LogitsSink sink_;
  std::deque<Request> requests_;
  std::size_t front_done_ = 0;  // positions of the front append that are planned or done
  std::optional<RunningGeneration> generation_;
  bool waits_for_parent_ = false;
  bool abandoned_ = false;
  std::exception_ptr error_;

  std::size_t length_ = 0;      // positions planned or done
  std::size_t length_max_ = 0;  // the largest that length_ ever was, drafts aside
  std::array<KvTable, kKvGroupCount> tables_;
  InputHistory history_;
  std::vector<float> hidden_;  // of the last position; empty: not known
};

}  // namespace captiond
