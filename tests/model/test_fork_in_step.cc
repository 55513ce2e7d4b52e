// A fork whose rows are computed in the step of its parent's: what both say afterwards.
#define BOOST_TEST_MODULE fork_in_step

#include <future>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/model/toy_engine.h"

using namespace captiond;
using namespace captiond::test;

namespace {

// The rows of each step; the engine's thread is held in the first one until all else is asked for.
class Steps {
 public:
  std::function<void(const Step&)> note() {
    return [this](const Step& step) {
      rows.push_back(step.rows());
      if (rows.size() == 1) held_.set_value();
      gone_.wait();
    };
  }
  void hold(Engine& engine) {
    warm_ = engine.new_context();
    warm_->append(toy_prompt(1, 9));
    held_.get_future().wait();
  }
  void go() { go_.set_value(); }

  std::vector<std::size_t> rows;

 private:
  std::promise<void> held_;
  std::promise<void> go_;
  std::shared_future<void> gone_ = go_.get_future().share();
  std::unique_ptr<Context> warm_;
};

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

// As the captioner does it: a segment is heard in parts, and each part is closed by a suffix and
// continued in a fork while the segment goes on.
BOOST_AUTO_TEST_CASE(a_segment_and_its_updates_say_what_fresh_contexts_would) {
  for (const std::size_t ahead : std::vector<std::size_t>{0, 16}) {
    for (std::size_t length = 1; length < 40; ++length) {
      Steps steps;
      const auto engine = open_toy({.ahead_rows_max = ahead, .before_step = steps.note()});
      steps.hold(*engine);
      const auto segment = engine->new_context();
      std::vector<TokenId> heard;
      std::vector<std::unique_ptr<Context>> updates;
      std::vector<std::future<Generation>> said;
      std::vector<std::vector<TokenId>> expected;
      for (std::uint32_t part = 0; part < 5; ++part) {
        const auto more = toy_prompt(length, 100 * part + 1);
        heard = joined(heard, more);
        segment->append(more);
        updates.push_back(segment->fork());
        const auto suffix = toy_prompt(6, 100 * part + 2);
        updates.back()->append(suffix);
        expected.push_back(Toy::continuation(joined(heard, suffix), 9));
        GenerateOptions options = tokens(9);
        if (part % 2 == 0) options.draft = joined(expected.back(), {5, 5});
        if (part % 3 == 0) options.draft = toy_prompt(4, 7);
        said.push_back(updates.back()->generate(std::move(options)));
      }
      steps.go();
      for (std::size_t i = 0; i < said.size(); ++i) {
        BOOST_TEST(said[i].get().tokens == expected[i], "update " << i << " of " << length);
      }
      BOOST_TEST(segment->generate(tokens(9)).get().tokens == Toy::continuation(heard, 9));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_fork_and_its_parent_go_on_from_the_page_they_both_wrote) {
  for (std::size_t length = 1; length < 40; ++length) {
    Steps steps;
    const auto engine = open_toy({.before_step = steps.note()});
    steps.hold(*engine);
    const auto parent = engine->new_context();
    const auto read = toy_prompt(length, 1);
    parent->append(read);
    const auto child = parent->fork();
    const auto suffix = toy_prompt(5, 2);
    child->append(suffix);
    auto said = child->generate(tokens(4));
    const auto more = toy_prompt(7, 3);
    parent->append(more);
    auto answered = parent->generate(tokens(20));
    steps.go();
    const auto first = Toy::continuation(joined(read, suffix), 4);
    BOOST_TEST(said.get().tokens == first);
    BOOST_TEST(answered.get().tokens == Toy::continuation(joined(read, more), 20));
    // The two rows that close both lie behind what the step in common wrote.
    const auto grandchild = child->fork();
    grandchild->append(suffix);
    const auto all = joined(joined(joined(read, suffix), first), suffix);
    BOOST_TEST(grandchild->generate(tokens(20)).get().tokens == Toy::continuation(all, 20));
    parent->truncate(length);
    BOOST_TEST(parent->generate(tokens(20)).get().tokens == Toy::continuation(read, 20));
  }
}

BOOST_AUTO_TEST_CASE(the_suffix_rides_in_the_step_of_the_prompt) {
  Steps steps;
  const auto engine = open_toy({.before_step = steps.note()});
  steps.hold(*engine);
  const auto parent = engine->new_context();
  parent->append(toy_prompt(20, 1));
  const auto child = parent->fork();
  child->append(toy_prompt(5, 2));
  auto flushed = child->flush();
  steps.go();
  flushed.get();
  const std::vector<std::size_t> expected = {1, 25};
  BOOST_TEST(steps.rows == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_step_that_fails_fails_both) {
  Steps steps;
  const auto engine = open_toy({.before_step = steps.note()});
  steps.hold(*engine);
  const auto parent = engine->new_context();
  auto read = toy_prompt(20, 1);
  read[10] = Toy::kFailure;
  parent->append(read);
  const auto child = parent->fork();
  child->append(toy_prompt(5, 2));
  auto flushed = child->flush();
  steps.go();
  BOOST_CHECK_THROW(flushed.get(), std::runtime_error);
  BOOST_CHECK_THROW(parent->flush().get(), std::runtime_error);
}
