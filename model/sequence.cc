#include "model/sequence.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

std::size_t positions_of(const Request& request) {
  if (const auto* ids = std::get_if<AppendIds>(&request.what)) return ids->ids.size();
  if (const auto* audio = std::get_if<AppendAudio>(&request.what)) return audio->patches->count();
  if (const auto* vision = std::get_if<AppendPicture>(&request.what)) {
    return vision->picture->count();
  }
  return 0;
}

bool is_append(const Request& request) { return request.what.index() <= 2; }
static_assert(
    std::is_same_v<std::variant_alternative_t<2, decltype(Request::what)>, AppendPicture>);

std::vector<TokenId> merged(std::vector<TokenId> ids, const std::vector<TokenId>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

Sequence::Sequence(std::shared_ptr<const SequenceRules> rules, const KvPools& pools,
                   LogitsSink sink)
    : rules_(std::move(rules)),
      sink_(std::move(sink)),
      tables_{KvTable(KvGroup::kSliding, pools[0]), KvTable(KvGroup::kFull, pools[1])} {}

void Sequence::accept(Request request) { requests_.push_back(std::move(request)); }

// -- Requests that need no rows.

bool Sequence::needed() const {
  if (!abandoned_) return true;
  return std::any_of(requests_.begin(), requests_.end(), [](const Request& request) {
    const auto* fork = std::get_if<ForkTo>(&request.what);
    return fork != nullptr && fork->child->needed();
  });
}

bool Sequence::dead() const { return abandoned_ && requests_.empty() && !generation_; }

void Sequence::drop(Request& request) {
  if (auto* generate = std::get_if<Generate>(&request.what)) {
    if (!generate->done) return;
    Generation none;
    none.stop = error_ ? StopReason::kStopToken : StopReason::kCancelled;
    std::exchange(generate->done, {})(std::move(none), error_);
  } else if (auto* flush = std::get_if<Flush>(&request.what)) {
    flush->done.set_exception(error_ ? error_
                                     : std::make_exception_ptr(RequestError(
                                           "The context was destroyed before its work was done.")));
  } else if (auto* fork = std::get_if<ForkTo>(&request.what)) {
    if (error_) fork->child->fail(error_);
  }
}

void Sequence::cancel_unneeded() {
  auto last_fork = requests_.begin();
  for (auto it = requests_.begin(); it != requests_.end(); ++it) {
    const auto* fork = std::get_if<ForkTo>(&it->what);
    if (fork != nullptr && fork->child->needed()) last_fork = std::next(it);
  }
  const bool nothing_needed = last_fork == requests_.begin();
  std::deque<Request> unneeded(std::make_move_iterator(last_fork),
                               std::make_move_iterator(requests_.end()));
  requests_.erase(last_fork, requests_.end());
  if (nothing_needed && generation_) {
    generation_->cancel();
    generation_.reset();
  }
  for (Request& request : unneeded) drop(request);
}

void Sequence::settle_failed() {
  std::deque<Request> requests = std::exchange(requests_, {});
  for (Request& request : requests) drop(request);
}

void Sequence::release_pages() {
  for (KvTable& table : tables_) table.clear();
}

void Sequence::fail(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
  release_pages();
  waits_for_parent_ = false;
  if (generation_) {
    RunningGeneration generation = std::move(*generation_);
    generation_.reset();
    generation.finish(error_);
  }
  settle_failed();
}

void Sequence::settle() {
  if (abandoned_) cancel_unneeded();
  if (error_) return settle_failed();
  if (waits_for_parent_) return;
  while (!generation_ && !requests_.empty() && !is_append(requests_.front())) {
    Request& front = requests_.front();
    if (std::holds_alternative<Generate>(front.what)) {
      start_generation();
      break;
    }
    Request request = std::move(front);
    requests_.pop_front();
    if (auto* cut = std::get_if<TruncateTo>(&request.what)) truncate(cut->length);
    if (auto* fork = std::get_if<ForkTo>(&request.what))
      fork_into(*fork->child, ForkTime::kBetweenSteps);
    if (auto* flush = std::get_if<Flush>(&request.what)) flush->done.set_value();
  }
}

void Sequence::truncate(std::size_t length) {
  if (length == length_) return;
  if (length > length_) {
    throw RequestError("A context of " + std::to_string(length_) +
                       " positions cannot be truncated to " + std::to_string(length) + ".");
  }
  if (const auto block = history_.block_across(length)) {
    throw RequestError("A context cannot be truncated to " + std::to_string(length) +
                       ", inside the picture at positions " + std::to_string(block->first) +
                       " to " + std::to_string(block->end - 1) + ".");
  }
  const std::size_t limit = truncate_limit(length_max_, rules_->sliding_window);
  if (length > 0 && length < limit) {
    throw RequestError("A context that was " + std::to_string(length_max_) +
                       " positions long cannot be truncated to " + std::to_string(length) +
                       ": the sliding layers keep what lengths from " + std::to_string(limit) +
                       " on need.");
  }
  roll_back(length);
  if (length == 0) length_max_ = 0;  // nothing is needed of what was released
}

void Sequence::roll_back(std::size_t length) {
  if (length >= length_) return;
  for (KvTable& table : tables_) table.truncate(length);
  history_.truncate(length);
  length_ = length;
  hidden_.clear();
}

void Sequence::fork_into(Sequence& child, ForkTime time) const {
  for (std::size_t group = 0; group < kKvGroupCount; ++group) {
    if (child.error_) continue;
    if (time == ForkTime::kInStep) child.tables_[group].share_unfinished(tables_[group], length_);
    if (time == ForkTime::kBetweenSteps) child.tables_[group].share(tables_[group]);
  }
  child.length_ = length_;
  child.length_max_ = length_max_;
  child.history_ = history_;
  child.hidden_ = hidden_;
  child.waits_for_parent_ = false;
}

// -- Rows.

bool Sequence::wants_rows() const {
  if (error_ || waits_for_parent_) return false;
  if (generation_) return !generation_->finished();
  return !requests_.empty() && is_append(requests_.front());
}

std::chrono::steady_clock::time_point Sequence::deadline() const {
  if (generation_) return generation_->deadline();
  auto soonest = std::chrono::steady_clock::time_point::max();
  for (const Request& request : requests_) {
    if (const auto* generate = std::get_if<Generate>(&request.what)) {
      return std::min(soonest, generate->options.deadline);
    }
    if (const auto* fork = std::get_if<ForkTo>(&request.what)) {
      soonest = std::min(soonest, fork->child->deadline());
    }
  }
  return soonest;
}

void Sequence::reserve(StepPlan& plan, std::size_t first, std::size_t end) {
  if (end > rules_->positions_max) {
    throw RequestError("The sequence would be " + std::to_string(end) +
                       " positions long; the checkpoint's max_position_embeddings is " +
                       std::to_string(rules_->positions_max) + ".");
  }
  for (std::size_t group = 0; group < kKvGroupCount; ++group) {
    if (!tables_[group].has_room(first, end)) {
      throw KvExhausted("No KV pages are left for positions " + std::to_string(first) + " to " +
                        std::to_string(end - 1) +
                        " of this context; raise kv_positions or destroy other contexts.");
    }
  }
  for (KvTable& table : tables_) table.reserve(first, end, plan.step.copies);
}

StepSlice& Sequence::add_slice(StepPlan& plan, std::size_t first, std::size_t count,
                               SliceRows rows) {
  if (!plan.slice_owners.empty() && plan.slice_owners.back() == this) {
    // Ids right behind ids are one run: a draft is then computed with the prompt before it.
    StepSlice& last = plan.step.slices.back();
    auto* ids = std::get_if<IdRows>(&last.rows);
    const auto* more = std::get_if<IdRows>(&rows);
    if (ids != nullptr && more != nullptr && last.first_position + last.count == first) {
      ids->ids.insert(ids->ids.end(), more->ids.begin(), more->ids.end());
      last.count += count;
      return last;
    }
  }
  StepSlice& slice = plan.step.slices.emplace_back();
  slice.first_position = slice.block_first = slice.block_end = first;
  slice.count = count;
  slice.rows = std::move(rows);
  plan.slice_owners.push_back(this);
  if (plan.sequences.empty() || plan.sequences.back() != this) plan.sequences.push_back(this);
  return slice;
}

void Sequence::set_pages(StepSlice& slice) const {
  for (std::size_t group = 0; group < kKvGroupCount; ++group) {
    slice.pages[group] = tables_[group].pages();
  }
}

void Sequence::add_output(StepPlan& plan, const OutputRow& output, const OutputUse& use) {
  plan.step.outputs.push_back(output);
  plan.output_uses.push_back(use);
}

std::size_t Sequence::plan(StepPlan& plan, std::size_t rows_max, bool oversize) {
  std::size_t rows = 0;
  while (!generation_ && !requests_.empty() && is_append(requests_.front())) {
    std::size_t planned = 0;
    try {
      planned = plan_append(plan, rows_max - rows, oversize && rows == 0);
    } catch (const std::runtime_error&) {
      if (rows == 0) throw;
      return rows;  // what is planned stands; the next step meets the error first
    }
    rows += planned;
    if (front_done_ < positions_of(requests_.front())) return rows;
    requests_.pop_front();
    front_done_ = 0;
    if (rows >= rows_max) break;
  }
  const bool last_row_planned = rows > 0;
  if (!generation_ && !requests_.empty() &&
      std::holds_alternative<Generate>(requests_.front().what)) {
    start_generation();
  }
  if (!generation_ || generation_->finished()) return rows;
  return rows + plan_generation(plan, rows_max - std::min(rows, rows_max), last_row_planned);
}

Sequence* Sequence::fork_in_step() {
  if (error_ || generation_ || requests_.empty()) return nullptr;
  const auto* fork = std::get_if<ForkTo>(&requests_.front().what);
  if (fork == nullptr) return nullptr;
  // A generation right behind the fork would need the hidden state that this step computes.
  const std::shared_ptr<Sequence> child = fork->child;
  if (child->error_ || child->abandoned_ || child->requests_.empty() ||
      !std::holds_alternative<AppendIds>(child->requests_.front().what)) {
    return nullptr;
  }
  fork_into(*child, ForkTime::kInStep);
  requests_.pop_front();
  return child.get();
}

bool Sequence::last_row_wanted() const {
  const Request* next = requests_.size() > 1 ? &requests_[1] : nullptr;
  if (next != nullptr && std::holds_alternative<Generate>(next->what)) return true;
  // A prompt ends in ids; should a generation follow a medium after all, it computes the row again.
  return std::holds_alternative<AppendIds>(requests_.front().what) &&
         (next == nullptr || !is_append(*next));
}

std::size_t Sequence::plan_append(StepPlan& plan, std::size_t rows_max, bool oversize) {
  const Request& front = requests_.front();
  const std::size_t left = positions_of(front) - front_done_;
  const auto* picture = std::get_if<AppendPicture>(&front.what);
  const std::size_t count = picture != nullptr ? left : std::min(left, rows_max);
  if (count == 0 || (count > rows_max && !oversize)) return 0;
  const std::size_t first_row = plan.step.rows();
  reserve(plan, length_, length_ + count);
  if (picture != nullptr) {
    StepSlice& slice = add_slice(
        plan, length_, count,
        PictureRows{.pixels = picture->picture->pixels, .columns = picture->picture->columns});
    slice.block_end = length_ + count;
    plan.pictures.push_back(picture->picture);
    history_.append_picture(*picture->picture);
  } else if (const auto* ids = std::get_if<AppendIds>(&front.what)) {
    const auto begin = ids->ids.begin() + static_cast<std::ptrdiff_t>(front_done_);
    IdRows rows{.ids = std::vector<TokenId>(begin, begin + static_cast<std::ptrdiff_t>(count))};
    history_.append_ids(rows.ids);
    add_slice(plan, length_, count, std::move(rows));
  } else {
    const auto& patches = std::get<AppendAudio>(front.what).patches;
    constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
    add_slice(plan, length_, count,
              AudioRows{.samples = std::span(patches->samples)
                                       .subspan(front_done_ * kSamples, count * kSamples)});
    history_.append_audio(patches, front_done_, count);
  }
  const auto* ids = std::get_if<AppendIds>(&front.what);
  const bool to_sink = sink_ && (ids == nullptr || !ids->generated);
  const bool wanted = count == left && last_row_wanted();
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = wanted && i + 1 == count;
    if (!to_sink && !last) continue;
    OutputUse use{.sequence = this, .sink_position = {}, .last = last};
    if (to_sink) use.sink_position = length_ + i;
    const RowOutput output = to_sink ? RowOutput::kLogits : RowOutput::kHidden;
    add_output(plan, {.row = first_row + i, .output = output}, use);
  }
  length_ += count;
  length_max_ = std::max(length_max_, length_);
  front_done_ += count;
  hidden_.clear();
  return count;
}

void Sequence::start_generation() {
  Request request = std::move(requests_.front());
  requests_.pop_front();
  auto& generate = std::get<Generate>(request.what);
  std::vector<TokenId> stop = merged(rules_->stop, generate.options.stop);
  generation_.emplace(request.number, std::move(generate), std::move(stop), rules_->suppressed);
}

std::size_t Sequence::plan_generation(StepPlan& plan, std::size_t rows_max, bool last_row_planned) {
  const std::optional<TokenId> pending = generation_->pending();
  const bool again = !pending && !last_row_planned && hidden_.empty();
  if (length_ == 0) throw RequestError("An empty context cannot be continued; append to it first.");
  const std::size_t base_rows = pending || again ? 1 : 0;
  if (rows_max < base_rows) return 0;
  const std::size_t room = rules_->positions_max - std::min(rules_->positions_max, length_);
  std::span<const TokenId> draft = generation_->draft_left();
  draft = draft.first(std::min(
      {draft.size(), rows_max - base_rows, room - std::min<std::size_t>(room, pending ? 1 : 0)}));
  const std::size_t first = again ? length_ - 1 : length_;
  const auto end_with = [&](std::size_t drafted) { return first + base_rows + drafted; };
  // A guess must not cost the context its pages.
  if (std::any_of(tables_.begin(), tables_.end(), [&](const KvTable& table) {
        return !table.has_room(first, end_with(draft.size()));
      })) {
    draft = {};
  }
  if (first < end_with(draft.size())) reserve(plan, first, end_with(draft.size()));

  const RowOutput output = generation_->output();
  const OutputUse use{.sequence = this, .sink_position = {}, .generation = true};
  std::size_t row = plan.step.rows();
  std::size_t token = generation_->tokens();  // that the next output chooses
  if (last_row_planned) {
    plan.output_uses.back().generation = true;
    OutputRow& planned = plan.step.outputs.back();
    planned.output = std::max(planned.output, output);
    planned.draw = generation_->draw(token++);
  } else if (again) {
    StepSlice last = history_.last_row();
    StepSlice& slice = add_slice(plan, first, 1, std::move(last.rows));
    slice.block_first = last.block_first;
    slice.block_end = last.block_end;
    add_output(plan, {.row = row++, .output = output, .draw = generation_->draw(token++)}, use);
  } else if (!pending) {
    plan.step.heads.push_back(
        {.hidden = hidden_, .output = output, .draw = generation_->draw(token++)});
    plan.head_uses.push_back(use);
    if (draft.empty()) plan.sequences.push_back(this);
  }
  IdRows rows;
  if (pending) rows.ids.push_back(*pending);
  rows.ids.insert(rows.ids.end(), draft.begin(), draft.end());
  if (!rows.ids.empty()) {
    history_.append_ids(rows.ids);
    const std::size_t count = rows.ids.size();
    add_slice(plan, length_, count, std::move(rows));
    for (std::size_t i = 0; i < count; ++i) {
      add_output(plan, {.row = row++, .output = output, .draw = generation_->draw(token++)}, use);
    }
    length_ += count;
  }
  generation_->begin_step(length_ - draft.size(), draft.size());
  return base_rows + draft.size();
}

bool Sequence::can_be_followed() const {
  if (error_ || !generation_ || !generation_->pending() || !generation_->may_go_on()) return false;
  if (length_ + 1 > rules_->positions_max) return false;
  return std::all_of(tables_.begin(), tables_.end(),
                     [&](const KvTable& table) { return table.has_room(length_, length_ + 1); });
}

void Sequence::plan_follower(StepPlan& plan, std::size_t output) {
  reserve(plan, length_, length_ + 1);
  const std::size_t row = plan.step.rows();
  add_slice(plan, length_, 1, ChosenRow{.output = output});
  // The step under way chooses the token in front.
  const kernels::Draw draw = generation_->draw(generation_->tokens() + 1);
  add_output(plan, {.row = row, .output = generation_->output(), .draw = draw},
             {.sequence = this, .sink_position = {}, .generation = true});
}

bool Sequence::follow() {
  const bool goes_on =
      !error_ && generation_ && !generation_->finished() && generation_->pending().has_value();
  if (!goes_on) {
    for (KvTable& table : tables_) table.truncate(length_);
    return false;
  }
  const TokenId token = *generation_->pending();
  history_.append_ids({&token, 1});
  generation_->begin_step(++length_, 0);
  return true;
}

void Sequence::take(const OutputUse& use, const RowResult& result) {
  if (use.sink_position) {
    if (!result.finite) throw logits_not_finite(*use.sink_position);
    sink_(*use.sink_position, result.logits);
  }
  if (use.last) hidden_.assign(result.hidden.begin(), result.hidden.end());
  if (use.generation) generation_->take(result);
}

bool Sequence::complete_step() {
  if (generation_) {
    roll_back(generation_->valid_length());
    hidden_ = generation_->take_hidden();
  }
  length_max_ = std::max(length_max_, length_);
  for (KvTable& table : tables_) table.close();
  release_old_pages();
  return generation_ && generation_->finished();
}

void Sequence::release_old_pages() {
  const std::size_t limit = truncate_limit(length_max_, rules_->sliding_window);
  if (limit == 0) return;
  std::size_t keep = limit - rules_->sliding_window;
  history_.release_before(limit - 1);
  // A picture's last row sees the whole picture under VisionMask::kFullBidirectional.
  if (const auto first = history_.first_of_block_ending_after(limit - 1)) {
    keep = std::min(keep, *first);
  }
  tables_[static_cast<std::size_t>(KvGroup::kSliding)].release_before(keep);
}

void Sequence::note_generated() { note_generated(generation_->request(), generation_->tokens()); }

void Sequence::note_generated(std::uint64_t request, std::size_t tokens) {
  ledger.note_generated(request, tokens);
  for (const Request& later : requests_) {
    if (const auto* fork = std::get_if<ForkTo>(&later.what)) {
      fork->child->note_generated(request, tokens);
    }
  }
}

void Sequence::finish_generation() {
  RunningGeneration generation = std::move(*generation_);
  generation_.reset();
  if (const auto token = generation.unwritten()) {
    requests_.push_front(
        {.number = generation.request(), .what = AppendIds{.ids = {*token}, .generated = true}});
  }
  generation.finish(nullptr);
}

}  // namespace captiond
