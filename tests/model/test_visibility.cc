#define BOOST_TEST_MODULE visibility

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/visibility.h"

using namespace captiond;

namespace {

TextConfig text(std::int64_t window, bool bidirectional) {
  TextConfig config;
  config.sliding_window = window;
  config.vision_blocks_bidirectional = bidirectional;
  return config;
}

StepSlice slice(std::size_t first, std::size_t count, bool picture) {
  StepSlice out;
  out.first_position = out.block_first = out.block_end = first;
  out.count = count;
  if (picture) out.block_end = first + count;
  return out;
}

// One line a row, from key 0.
std::string drawn(const Visibility& visibility, const StepSlice& rows) {
  std::string out;
  const std::size_t end = rows.first_position + rows.count;
  for (std::size_t query = rows.first_position; query < end; ++query) {
    for (std::size_t key = 0; key < end; ++key) {
      out += visibility.visible(rows, query, key) ? 'x' : '.';
    }
    out += '\n';
  }
  return out;
}

const StepSlice kText = slice(3, 3, false);
const StepSlice kPicture = slice(3, 4, true);

}  // namespace

BOOST_AUTO_TEST_CASE(text_sees_what_is_before_it) {
  const Visibility full(text(3, true), VisionMask::kFullBidirectional, KvGroup::kFull);
  BOOST_TEST(drawn(full, kText) ==
             "xxxx..\n"
             "xxxxx.\n"
             "xxxxxx\n");
  BOOST_TEST(full.first_key(kText) == 0U);
}

BOOST_AUTO_TEST_CASE(a_window_of_three_holds_the_row_itself_and_two_before) {
  const Visibility sliding(text(3, true), VisionMask::kFullBidirectional, KvGroup::kSliding);
  BOOST_TEST(drawn(sliding, kText) ==
             ".xxx..\n"
             "..xxx.\n"
             "...xxx\n");
  BOOST_TEST(sliding.first_key(kText) == 1U);
  BOOST_TEST(sliding.first_key(slice(0, 1, false)) == 0U);
}

BOOST_AUTO_TEST_CASE(a_picture_sees_itself_both_ways_on_all_layers_with_full_bidirectional) {
  const Visibility full(text(3, true), VisionMask::kFullBidirectional, KvGroup::kFull);
  BOOST_TEST(drawn(full, kPicture) ==
             "xxxxxxx\n"
             "xxxxxxx\n"
             "xxxxxxx\n"
             "xxxxxxx\n");
  const Visibility sliding(text(3, true), VisionMask::kFullBidirectional, KvGroup::kSliding);
  BOOST_TEST(drawn(sliding, kPicture) ==
             ".xxxxxx\n"
             "..xxxxx\n"
             "...xxxx\n"
             "...xxxx\n");  // even beyond the window
}

BOOST_AUTO_TEST_CASE(with_full_causal_sliding_layers_alone_see_both_ways_and_keep_the_window) {
  const Visibility full(text(3, true), VisionMask::kFullCausal, KvGroup::kFull);
  BOOST_TEST(drawn(full, kPicture) ==
             "xxxx...\n"
             "xxxxx..\n"
             "xxxxxx.\n"
             "xxxxxxx\n");
  const Visibility sliding(text(3, true), VisionMask::kFullCausal, KvGroup::kSliding);
  BOOST_TEST(drawn(sliding, kPicture) ==
             ".xxxxxx\n"
             "..xxxxx\n"
             "...xxxx\n"
             "....xxx\n");
}

BOOST_AUTO_TEST_CASE(without_bidirectional_vision_a_picture_is_like_text) {
  for (const KvGroup group : kKvGroups) {
    const Visibility visibility(text(3, false), VisionMask::kFullBidirectional, group);
    BOOST_TEST(drawn(visibility, kPicture) == drawn(visibility, slice(3, 4, false)));
  }
}

BOOST_AUTO_TEST_CASE(what_a_row_sees_is_one_run) {
  std::vector<StepSlice> slices = {kText, kPicture, slice(0, 1, false), slice(9, 5, false)};
  slices.push_back(slice(7, 1, false));  // the last row of a picture, computed again
  slices.back().block_first = 2;
  slices.back().block_end = 8;
  for (const bool bidirectional : {false, true}) {
    for (const VisionMask mask : {VisionMask::kFullCausal, VisionMask::kFullBidirectional}) {
      for (const KvGroup group : kKvGroups) {
        const Visibility visibility(text(3, bidirectional), mask, group);
        for (const StepSlice& rows : slices) {
          const std::size_t end = rows.first_position + rows.count;
          for (std::size_t query = rows.first_position; query < end; ++query) {
            const Visibility::KeyRun run = visibility.visible_run(rows, query);
            BOOST_TEST(run.first >= visibility.first_key(rows));
            for (std::size_t key = 0; key < end; ++key) {
              BOOST_TEST(visibility.visible(rows, query, key) ==
                         (key >= run.first && key < run.end));
            }
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_single_row_sees_all_keys_from_the_first) {
  // The last row of a picture of 6 behind 2 positions, computed again.
  StepSlice last = slice(7, 1, false);
  last.block_first = 2;
  last.block_end = 8;
  for (const VisionMask mask : {VisionMask::kFullCausal, VisionMask::kFullBidirectional}) {
    for (const KvGroup group : kKvGroups) {
      const Visibility visibility(text(3, true), mask, group);
      const std::size_t first = visibility.first_key(last);
      for (std::size_t key = 0; key <= 7; ++key) {
        BOOST_TEST(visibility.visible(last, 7, key) == (key >= first));
      }
    }
  }
}
