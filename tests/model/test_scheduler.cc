// Which rows a step is made of. What becomes of them is held by test_context.
#define BOOST_TEST_MODULE scheduler

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/scheduler.h"

using namespace captiond;

namespace {

class Fixture {
 public:
  explicit Fixture(std::size_t step_rows_max, std::size_t pages = 256)
      : Fixture(step_rows_max, pages, step_rows_max) {}
  Fixture(std::size_t step_rows_max, std::size_t pages, std::size_t prompt_rows_max)
      : sliding_(pages), full_(pages), scheduler_(step_rows_max, prompt_rows_max) {}
  ~Fixture() {
    for (const auto& sequence : sequences) sequence->release_pages();
  }

  Sequence& add() {
    sequences.push_back(std::make_shared<Sequence>(rules_, KvPools{&sliding_, &full_}, nullptr));
    return *sequences.back();
  }
  Sequence& reading(std::size_t count) {
    Sequence& sequence = add();
    sequence.accept({.number = 1, .what = AppendIds{.ids = std::vector<TokenId>(count, 5)}});
    return sequence;
  }
  // A sequence that has chosen a token which waits for its row.
  Sequence& decoding(std::vector<TokenId> draft = {}, int due_s = 1000) {
    Sequence& sequence = reading(1);
    GenerateOptions options;
    options.max_tokens = 100;
    options.draft = std::move(draft);
    options.deadline = start_ + std::chrono::seconds(due_s);
    sequence.accept({.number = 2, .what = Generate{.options = options, .done = {}}});
    StepPlan plan;
    sequence.plan(plan, 1, false);
    const std::vector<float> hidden(4);
    sequence.take(plan.output_uses.back(), {.hidden = hidden, .choice = 9, .logits = {}});
    sequence.complete_step();
    return sequence;
  }

  // A fork of `parent`, asked for last, that goes on with `count` ids and a token.
  Sequence& forking(Sequence& parent, std::size_t count) {
    Sequence& child = add();
    child.wait_for_parent();
    if (count > 0) {
      child.accept({.number = 1, .what = AppendIds{.ids = std::vector<TokenId>(count, 7)}});
    }
    GenerateOptions options;
    options.max_tokens = 100;
    child.accept({.number = 2, .what = Generate{.options = options, .done = {}}});
    parent.accept({.number = 3, .what = ForkTo{.child = sequences.back()}});
    return child;
  }

  StepPlan plan() { return scheduler_.plan(sequences); }

  std::vector<std::shared_ptr<Sequence>> sequences;

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::shared_ptr<const SequenceRules> rules_ = std::make_shared<const SequenceRules>(
      SequenceRules{.sliding_window = 8, .positions_max = 10000, .stop = {1}, .suppressed = {}});
  KvPool sliding_;
  KvPool full_;
  Scheduler scheduler_;
};

std::size_t rows_of(const StepPlan& plan, const Sequence& sequence) {
  std::size_t rows = 0;
  for (std::size_t i = 0; i < plan.step.slices.size(); ++i) {
    if (plan.slice_owners[i] == &sequence) rows += plan.step.slices[i].count;
  }
  return rows;
}

std::shared_ptr<const VisionPatches> picture(std::size_t columns) {
  return std::make_shared<const VisionPatches>(
      VisionPatches{.rows = 1,
                    .columns = columns,
                    .pixels = std::vector<std::uint8_t>(columns * VisionPatches::kBytesPerPatch),
                    .video_frame = false});
}

std::shared_ptr<const AudioPatches> audio(std::size_t count) {
  return std::make_shared<const AudioPatches>(
      AudioPatches{.samples = std::vector<float>(count * AudioPatches::kSamplesPerPatch)});
}

}  // namespace

BOOST_AUTO_TEST_CASE(nobody_who_wants_rows_is_an_empty_step) {
  Fixture fixture(16);
  fixture.add();
  BOOST_TEST(fixture.plan().sequences.empty());
}

BOOST_AUTO_TEST_CASE(a_long_prompt_is_cut_where_the_step_is_full) {
  Fixture fixture(16);
  Sequence& sequence = fixture.reading(40);
  for (const std::size_t rows : std::vector<std::size_t>{16, 16, 8, 0}) {
    const StepPlan plan = fixture.plan();
    BOOST_TEST(plan.step.rows() == rows);
    if (rows == 0) break;
    BOOST_TEST(plan.step.slices.front().first_position + rows == sequence.length());
    // Only behind the whole prompt may somebody want to go on.
    BOOST_TEST_REQUIRE(plan.step.outputs.size() == (rows == 8 ? 1U : 0U));
    if (rows == 8) BOOST_TEST(plan.step.outputs.back().row == rows - 1);
  }
}

BOOST_AUTO_TEST_CASE(a_prompt_has_larger_steps_while_nothing_decodes) {
  Fixture fixture(8, 256, 20);
  const Sequence& prompt = fixture.reading(50);
  StepPlan plan = fixture.plan();
  BOOST_TEST(plan.step.rows() == 20U);
  const Sequence& decode = fixture.decoding();
  plan = fixture.plan();
  BOOST_TEST(rows_of(plan, decode) == 1U);
  BOOST_TEST(rows_of(plan, prompt) == 7U);
}

BOOST_AUTO_TEST_CASE(decodes_and_prompts_share_a_step) {
  Fixture fixture(16);
  const Sequence& reader = fixture.reading(100);
  const Sequence& first = fixture.decoding();
  const Sequence& second = fixture.decoding();
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, first) == 1U);
  BOOST_TEST(rows_of(plan, second) == 1U);
  BOOST_TEST(rows_of(plan, reader) == 14U);
}

BOOST_AUTO_TEST_CASE(drafts_leave_a_row_to_every_decode_and_a_quarter_to_prompts) {
  Fixture fixture(16);
  const Sequence& reader = fixture.reading(100);
  const Sequence& guessed = fixture.decoding({9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
  const Sequence& plain = fixture.decoding();
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, guessed) == 11U);
  BOOST_TEST(rows_of(plan, plain) == 1U);
  BOOST_TEST(rows_of(plan, reader) == 4U);
}

BOOST_AUTO_TEST_CASE(more_decodes_than_rows_take_turns) {
  Fixture fixture(4);
  for (int i = 0; i < 6; ++i) fixture.decoding();
  std::vector<int> turns(6);
  for (int step = 0; step < 30; ++step) {
    const StepPlan plan = fixture.plan();
    BOOST_TEST(plan.sequences.size() == 4U);
    const std::vector<float> hidden(4);
    for (const OutputUse& use : plan.output_uses) {
      use.sequence->take(use, {.hidden = hidden, .choice = 9, .logits = {}});
    }
    for (std::size_t i = 0; i < 6; ++i) {
      if (rows_of(plan, *fixture.sequences[i]) > 0) {
        ++turns[i];
        fixture.sequences[i]->complete_step();
      }
    }
  }
  for (const int turn : turns) BOOST_TEST(std::abs(turn - 20) <= 1);
}

BOOST_AUTO_TEST_CASE(who_is_due_first_goes_first) {
  Fixture fixture(4);
  for (const int due : {50, 10, 40, 20, 30, 60}) fixture.decoding({}, due);
  const StepPlan plan = fixture.plan();
  for (const std::size_t served : std::vector<std::size_t>{1, 3, 4, 2}) {
    BOOST_TEST(rows_of(plan, *fixture.sequences[served]) == 1U);
  }
  BOOST_TEST(plan.step.rows() == 4U);
}

BOOST_AUTO_TEST_CASE(a_picture_is_never_split) {
  Fixture fixture(16);
  Sequence& first = fixture.reading(10);
  Sequence& second = fixture.add();
  second.accept({.number = 1, .what = AppendPicture{.picture = picture(12)}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, first) == 10U);
  BOOST_TEST(rows_of(plan, second) == 0U, "it does not fit behind the other prompt");
  const StepPlan next = fixture.plan();
  BOOST_TEST(rows_of(next, second) == 12U);
  BOOST_TEST(next.step.slices.front().block_end == 12U);
}

BOOST_AUTO_TEST_CASE(a_picture_larger_than_a_step_goes_alone_beside_decodes) {
  Fixture fixture(16);
  const Sequence& decode = fixture.decoding();
  Sequence& seeing = fixture.add();
  seeing.accept({.number = 1, .what = AppendPicture{.picture = picture(30)}});
  const Sequence& reader = fixture.reading(5);
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, decode) == 1U);
  BOOST_TEST(rows_of(plan, seeing) == 30U);
  BOOST_TEST(rows_of(plan, reader) == 0U);
}

BOOST_AUTO_TEST_CASE(a_draft_never_costs_a_context_its_pages) {
  // Two pages of 16 positions: the pending token fits, the guess behind it does not.
  Fixture fixture(64, 2);
  Sequence& sequence = fixture.reading(30);
  GenerateOptions options;
  options.draft = std::vector<TokenId>(20, 7);
  sequence.accept({.number = 2, .what = Generate{.options = options, .done = {}}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, sequence) == 30U);
}

BOOST_AUTO_TEST_CASE(the_pages_of_every_slice_hold_its_rows) {
  Fixture fixture(64);
  Sequence& sequence = fixture.reading(10);
  sequence.accept({.number = 2, .what = AppendAudio{.patches = audio(30)}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST_REQUIRE(plan.step.slices.size() == 2U);
  for (const StepSlice& slice : plan.step.slices) {
    for (const auto& pages : slice.pages) {
      BOOST_TEST(pages.size() * kPagePositions >= slice.first_position + slice.count);
    }
  }
}

BOOST_AUTO_TEST_CASE(ids_behind_ids_are_one_slice_with_their_draft) {
  Fixture fixture(64);
  Sequence& sequence = fixture.reading(10);
  sequence.accept({.number = 2, .what = AppendIds{.ids = {6, 7}}});
  GenerateOptions options;
  options.draft = {8, 9, 10};
  sequence.accept({.number = 3, .what = Generate{.options = options, .done = {}}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST_REQUIRE(plan.step.slices.size() == 1U);
  const StepSlice& slice = plan.step.slices.front();
  const std::vector<TokenId> expected = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 7, 8, 9, 10};
  BOOST_TEST(std::get<IdRows>(slice.rows).ids == expected, boost::test_tools::per_element());
  BOOST_TEST(slice.count == expected.size());
  // The first row that chooses is that in front of the draft.
  BOOST_TEST_REQUIRE(plan.step.outputs.size() >= 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    BOOST_TEST(plan.step.outputs[plan.step.outputs.size() - 4 + i].row == 11 + i);
  }
}

BOOST_AUTO_TEST_CASE(a_prompt_is_as_urgent_as_the_fork_that_waits_for_it) {
  Fixture fixture(16);
  const Sequence& reader = fixture.reading(100);
  Sequence& parent = fixture.reading(10);
  Sequence& child = fixture.add();
  child.wait_for_parent();
  GenerateOptions options;
  options.deadline = std::chrono::steady_clock::now();
  child.accept({.number = 2, .what = Generate{.options = options, .done = {}}});
  parent.accept({.number = 2, .what = ForkTo{.child = fixture.sequences.back()}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, parent) == 10U);
  BOOST_TEST(rows_of(plan, reader) == 6U);
  parent.settle();
}

BOOST_AUTO_TEST_CASE(a_prompt_without_a_deadline_is_read_in_the_end) {
  Fixture fixture(16);
  const Sequence& patient = fixture.reading(10);
  Sequence& hurried = fixture.reading(5000);
  GenerateOptions options;
  options.deadline = std::chrono::steady_clock::now();
  hurried.accept({.number = 2, .what = Generate{.options = options, .done = {}}});
  std::size_t steps = 1;
  while (rows_of(fixture.plan(), patient) == 0) BOOST_TEST_REQUIRE(++steps <= Scheduler::kTurn);
  BOOST_TEST(steps == Scheduler::kTurn);
}

BOOST_AUTO_TEST_CASE(a_fork_that_goes_on_with_ids_is_in_the_step_of_its_prompt) {
  Fixture fixture(64);
  Sequence& parent = fixture.reading(20);
  Sequence& child = fixture.forking(parent, 12);
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, parent) == 20U);
  BOOST_TEST(rows_of(plan, child) == 12U);
  BOOST_TEST_REQUIRE(plan.step.slices.size() == 2U);
  BOOST_TEST(plan.step.slices.back().first_position == 20U);
  // A copy of the page that both write would be made before its rows are.
  BOOST_TEST(plan.step.copies.empty());
  for (const KvGroup group : kKvGroups) {
    const auto index = static_cast<std::size_t>(group);
    const auto theirs = plan.step.slices.front().pages[index];
    const auto ours = plan.step.slices.back().pages[index];
    BOOST_TEST(theirs.size() == 2U);
    BOOST_TEST(std::equal(theirs.begin(), theirs.end(), ours.begin(), ours.end()));
  }
}

BOOST_AUTO_TEST_CASE(a_page_that_a_fork_wrote_in_the_step_of_its_prompt_is_copied_later) {
  Fixture fixture(64);
  Sequence& parent = fixture.reading(20);
  Sequence& child = fixture.forking(parent, 12);
  for (const OutputUse& use : fixture.plan().output_uses) {
    const std::vector<float> hidden(4);
    use.sequence->take(use, {.hidden = hidden, .choice = 9, .logits = {}});
  }
  parent.complete_step();
  child.complete_step();
  parent.accept({.number = 9, .what = AppendIds{.ids = {5, 5}}});
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, parent) == 2U);
  BOOST_TEST(rows_of(plan, child) == 1U);
  // Whoever of the two comes first copies the page, in both groups; it is then the other's alone.
  BOOST_TEST(plan.step.copies.size() == kKvGroupCount);
}

BOOST_AUTO_TEST_CASE(a_second_fork_and_one_that_needs_a_result_wait_for_the_next_step) {
  Fixture fixture(64);
  Sequence& parent = fixture.reading(20);
  const Sequence& first = fixture.forking(parent, 3);
  const Sequence& second = fixture.forking(parent, 3);
  Sequence& other = fixture.reading(10);
  const Sequence& hasty = fixture.forking(other, 0);
  const StepPlan plan = fixture.plan();
  BOOST_TEST(rows_of(plan, first) == 3U);
  BOOST_TEST(rows_of(plan, second) == 0U);
  BOOST_TEST(rows_of(plan, hasty) == 0U);
  parent.settle();
  other.settle();
  BOOST_TEST(second.wants_rows());
}

BOOST_AUTO_TEST_CASE(a_fork_for_which_the_step_has_no_row_waits) {
  Fixture fixture(16);
  Sequence& parent = fixture.reading(16);
  const Sequence& child = fixture.forking(parent, 3);
  BOOST_TEST(rows_of(fixture.plan(), child) == 0U);
  parent.settle();
  const StepPlan next = fixture.plan();
  BOOST_TEST(rows_of(next, child) == 3U);
}
