#define BOOST_TEST_MODULE segmenter
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "elements/segmenter.h"

using namespace captiond;
using namespace std::chrono_literals;

namespace {

// One segment as it came out: number of its first patch, patches given, patches kept.
struct Cut {
  std::size_t first = 0;
  std::size_t given = 0;
  std::size_t kept = 0;
  bool by_length = false;

  bool operator==(const Cut&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Cut& cut) {
  return out << "{first " << cut.first << ", given " << cut.given << ", kept " << cut.kept
             << (cut.by_length ? ", by length}" : "}");
}

// Feeds patches numbered from 0 and collects what comes of them. Sample 0 of a patch is its number,
// so that audio which is lost, doubled or out of order is seen.
class Run {
 public:
  explicit Run(const SegmenterOptions& options) : segmenter_(options) {}

  Run& hear(std::size_t count, bool voice, double loudness = 0.1) {
    for (std::size_t i = 0; i < count; ++i, ++number_) {
      AudioPatch patch;
      patch.start = start_ + duration_of(number_);
      patch.samples.fill(static_cast<float>(loudness));
      patch.samples[0] = static_cast<float>(number_) * 1e-6f;
      take(segmenter_.hear(patch, voice));
    }
    return *this;
  }
  Run& finish() {
    take(segmenter_.finish());
    return *this;
  }
  void start_at(StreamTime start) { start_ = start; }

  std::vector<Cut> cuts;
  std::size_t blips = 0;
  StreamTime quiet{-1};
  std::vector<StreamTime> ends;

 private:
  void take(const std::vector<SegmentAction>& actions) {
    for (const SegmentAction& action : actions) {
      if (const auto* begin = std::get_if<SegmentBegin>(&action)) {
        BOOST_REQUIRE(!open_);
        BOOST_TEST((begin->start >= quiet));
        open_ = true;
        current_ = {static_cast<std::size_t>((begin->start - start_) / kPatchDuration), 0, 0,
                    false};
      } else if (const auto* audio = std::get_if<SegmentAudio>(&action)) {
        BOOST_REQUIRE(open_);
        const auto number = std::lround(audio->patch.samples[0] * 1e6f);
        BOOST_REQUIRE_EQUAL(number, current_.first + current_.given);
        ++current_.given;
      } else if (const auto* end = std::get_if<SegmentEnd>(&action)) {
        BOOST_REQUIRE(open_);
        open_ = false;
        current_.kept = end->patches;
        current_.by_length = end->cut;
        BOOST_CHECK(end->end == start_ + duration_of(current_.first + end->patches));
        ends.push_back(end->end);
        cuts.push_back(current_);
      } else if (std::holds_alternative<BlipDropped>(action)) {
        ++blips;
      } else if (const auto* no_speech = std::get_if<NoSpeech>(&action)) {
        BOOST_REQUIRE(!open_);
        BOOST_TEST((no_speech->until >= quiet));
        quiet = no_speech->until;
      }
    }
  }

  Segmenter segmenter_;
  StreamTime start_{};
  std::size_t number_ = 0;
  bool open_ = false;
  Cut current_;
};

// 5 patches of lead-in and lead-out, 15 of pause, 375 of length, 3 of speech.
SegmenterOptions defaults() { return {}; }

void require_cuts(const Run& run, const std::vector<Cut>& want) {
  BOOST_TEST(run.cuts == want, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_CASE(speech_between_silences_becomes_one_segment_with_its_leads) {
  Run run(defaults());
  run.hear(25, false).hear(50, true).hear(25, false);
  require_cuts(run, {{20, 60, 60, false}});
}

BOOST_AUTO_TEST_CASE(speech_at_the_very_start_has_no_lead_in_to_keep) {
  Run run(defaults());
  run.hear(2, false).hear(50, true).hear(15, false);
  require_cuts(run, {{0, 57, 57, false}});
}

BOOST_AUTO_TEST_CASE(a_pause_shorter_than_the_endpoint_is_inside_the_segment) {
  Run run(defaults());
  run.hear(10, false).hear(10, true).hear(14, false).hear(10, true).hear(15, false);
  require_cuts(run, {{5, 44, 44, false}});
}

BOOST_AUTO_TEST_CASE(a_pause_of_the_endpoint_length_ends_the_segment) {
  Run run(defaults());
  run.hear(10, false).hear(10, true).hear(15, false).hear(10, true).hear(15, false);
  // The second segment's lead-in is the end of the pause; the pause between the leads is nobody's.
  require_cuts(run, {{5, 20, 20, false}, {30, 20, 20, false}});
}

BOOST_AUTO_TEST_CASE(two_segments_never_share_a_patch) {
  SegmenterOptions options = defaults();
  options.lead_in = options.lead_out = options.endpoint_silence = 200ms;
  Run run(options);
  run.hear(10, true).hear(5, false).hear(10, true).finish();
  // All five patches of the pause are the lead-out of the first, so the second has no lead-in.
  require_cuts(run, {{0, 15, 15, false}, {15, 10, 10, false}});
}

BOOST_AUTO_TEST_CASE(speech_shorter_than_the_least_is_dropped_and_counted) {
  Run run(defaults());
  run.hear(10, false).hear(2, true).hear(30, false);
  BOOST_TEST(run.cuts.empty());
  BOOST_TEST(run.blips == 1u);
  run.hear(3, true).hear(15, false);
  require_cuts(run, {{37, 13, 13, false}});
  BOOST_TEST(run.blips == 1u);
}

BOOST_AUTO_TEST_CASE(short_bursts_close_together_are_speech_from_the_first_on) {
  Run run(defaults());
  run.hear(10, false).hear(1, true).hear(4, false).hear(1, true).hear(4, false).hear(1, true);
  run.hear(15, false);
  require_cuts(run, {{5, 21, 21, false}});
  BOOST_TEST(run.blips == 0u);
}

BOOST_AUTO_TEST_CASE(a_long_segment_is_cut_at_the_quietest_of_its_last_three_seconds) {
  Run run(defaults());
  run.hear(330, true).hear(3, true, 0.01).hear(100, true).hear(15, false);
  // Patch 331 is the middle of the three quiet ones; 75 patches are in question: 300 … 374.
  require_cuts(run, {{0, 375, 331, true}, {331, 107, 107, false}});
}

BOOST_AUTO_TEST_CASE(a_quieter_point_before_the_last_three_seconds_does_not_count) {
  Run run(defaults());
  run.hear(200, true).hear(3, true, 0.0).hear(147, true).hear(3, true, 0.05).hear(50, true);
  run.finish();
  require_cuts(run, {{0, 375, 351, true}, {351, 52, 52, false}});
}

BOOST_AUTO_TEST_CASE(a_pause_is_a_better_cut_than_a_quiet_voice) {
  Run run(defaults());
  run.hear(310, true).hear(4, false, 0.2).hear(20, true).hear(5, true, 0.001).hear(60, true);
  run.finish();
  BOOST_REQUIRE_EQUAL(run.cuts.size(), 2u);
  BOOST_TEST(run.cuts[0].kept >= 310u);
  BOOST_TEST(run.cuts[0].kept < 314u);
}

BOOST_AUTO_TEST_CASE(endless_speech_is_cut_again_and_again_without_losing_a_patch) {
  Run run(defaults());
  run.hear(2000, true).finish();
  std::size_t next = 0;
  for (const Cut& cut : run.cuts) {
    BOOST_TEST(cut.first == next);
    BOOST_TEST(cut.given <= 375u);
    BOOST_TEST(cut.kept >= (cut.by_length ? 300u : 1u));
    next += cut.kept;
  }
  BOOST_TEST(next == 2000u);
}

BOOST_AUTO_TEST_CASE(a_held_back_pause_may_reach_the_length_limit_when_speech_goes_on) {
  Run run(defaults());
  run.hear(365, true).hear(14, false, 0.0).hear(40, true).hear(15, false);
  std::size_t kept = 0;
  for (const Cut& cut : run.cuts) {
    BOOST_TEST(cut.first == kept);
    kept += cut.kept;
  }
  BOOST_REQUIRE_EQUAL(run.cuts.size(), 2u);
  BOOST_TEST(run.cuts[0].by_length);
  // In the pause, as far back as the limit lets it; then 40 of speech and the lead-out.
  BOOST_TEST(run.cuts[0].kept > 365u);
  BOOST_TEST(kept == 365u + 14u + 40u + 5u);
}

BOOST_AUTO_TEST_CASE(silence_after_a_cut_is_no_blip) {
  Run run(defaults());
  run.hear(373, true).hear(2, false, 0.0).hear(60, false, 0.0);
  BOOST_REQUIRE_EQUAL(run.cuts.size(), 1u);
  BOOST_TEST(run.cuts[0].by_length);
  BOOST_TEST(run.blips == 0u);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_stream_ends_the_open_segment) {
  Run run(defaults());
  run.hear(10, false).hear(10, true).finish();
  require_cuts(run, {{5, 15, 15, false}});
  BOOST_TEST((run.quiet == duration_of(20)));
}

BOOST_AUTO_TEST_CASE(a_held_back_pause_at_the_end_of_the_stream_is_left_out) {
  Run run(defaults());
  run.hear(10, true).hear(12, false).finish();
  require_cuts(run, {{0, 15, 15, false}});
}

BOOST_AUTO_TEST_CASE(after_the_end_another_stream_may_begin_anywhere) {
  Run run(defaults());
  run.hear(20, true).finish();
  run.start_at(100s);
  run.hear(20, true).finish();
  require_cuts(run, {{0, 20, 20, false}, {20, 20, 20, false}});
  BOOST_TEST((run.ends.back() == 100s + duration_of(40)));
}

BOOST_AUTO_TEST_CASE(silence_is_told_up_to_where_a_segment_might_still_begin) {
  Run run(defaults());
  run.hear(50, false);
  BOOST_TEST((run.quiet == duration_of(45)));
  run.hear(2, true);
  BOOST_TEST((run.quiet == duration_of(45)));
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_with_a_sentence) {
  const auto refused = [](auto change) {
    SegmenterOptions options;
    change(options);
    try {
      Segmenter segmenter(options);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  BOOST_TEST(refused([](auto& o) { o.segment_max = 16s; }) ==
             "segment-max is 16000 ms, it must lie between 1000 ms and 15000 ms.");
  BOOST_TEST(refused([](auto& o) { o.segment_max = 500ms; }).starts_with("segment-max is 500 ms"));
  BOOST_TEST(refused([](auto& o) { o.endpoint_silence = 0ms; }).starts_with("endpoint-silence"));
  BOOST_TEST(refused([](auto& o) { o.lead_out = 700ms; }).starts_with("lead-out is 700 ms"));
  BOOST_TEST(refused([](auto& o) { o.lead_in = -1ms; }).starts_with("lead-in"));
  BOOST_TEST(refused([](auto& o) { o.min_speech = 0ms; }).starts_with("min-speech"));
  BOOST_TEST(refused([](auto&) {}) == "accepted");
}
