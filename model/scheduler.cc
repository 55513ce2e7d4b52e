#include "model/scheduler.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "model/check.h"

namespace captiond {
namespace {

std::size_t plan_or_fail(Sequence& sequence, StepPlan& plan, std::size_t rows, bool oversize) {
  try {
    return sequence.plan(plan, rows, oversize);
  } catch (const std::runtime_error&) {
    sequence.fail(std::current_exception());
    return 0;
  }
}

}  // namespace

Scheduler::Scheduler(std::size_t step_rows_max, std::size_t prompt_rows_max)
    : step_rows_max_(step_rows_max), prompt_rows_max_(prompt_rows_max) {
  check(step_rows_max >= kStepRowsLeast, "a step has room for prompts and decodes");
  check(prompt_rows_max >= step_rows_max, "prompts alone have no fewer rows than beside decodes");
}

StepPlan Scheduler::plan(std::span<const std::shared_ptr<Sequence>> sequences) {
  std::vector<Sequence*> decodes;
  std::vector<Sequence*> prompts;
  for (const auto& sequence : sequences) {
    if (sequence->wants_rows()) (sequence->decodes() ? decodes : prompts).push_back(sequence.get());
  }
  const auto sooner = [](const Sequence* a, const Sequence* b) {
    return std::make_tuple(a->deadline(), a->last_served) <
           std::make_tuple(b->deadline(), b->last_served);
  };
  std::stable_sort(decodes.begin(), decodes.end(), sooner);
  std::stable_sort(prompts.begin(), prompts.end(), sooner);
  if (!prompts.empty() && ++steps_ % kTurn == 0) {
    const auto longest = std::min_element(
        prompts.begin(), prompts.end(),
        [](const Sequence* a, const Sequence* b) { return a->last_served < b->last_served; });
    std::rotate(prompts.begin(), longest, std::next(longest));
  }

  StepPlan plan;
  const std::size_t rows_max = decodes.empty() ? prompt_rows_max_ : step_rows_max_;
  std::size_t left = rows_max - (prompts.empty() ? 0 : rows_max / 4);
  decodes.resize(std::min(decodes.size(), left));
  for (std::size_t i = 0; i < decodes.size(); ++i) {
    const std::size_t others = decodes.size() - i - 1;  // that still need a row each
    left -= plan_or_fail(*decodes[i], plan, left - others, false);
  }
  left = rows_max - plan.step.rows();
  bool first = true;
  for (Sequence* sequence : prompts) {
    if (left == 0) break;
    const std::size_t rows = plan_or_fail(*sequence, plan, left, first);
    left -= std::min(left, rows);
    first = first && rows == 0;
    if (rows == 0 || left == 0) continue;
    if (Sequence* fork = sequence->fork_in_step()) left -= plan_or_fail(*fork, plan, left, false);
  }
  for (Sequence* sequence : plan.sequences) sequence->last_served = ++served_;
  for (std::size_t i = 0; i < plan.step.slices.size(); ++i) {
    plan.slice_owners[i]->set_pages(plan.step.slices[i]);
  }
  return plan;
}

}  // namespace captiond
