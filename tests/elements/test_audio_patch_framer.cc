#define BOOST_TEST_MODULE audio_patch_framer
#include <numeric>

#include <boost/test/unit_test.hpp>

#include "elements/audio_patch_framer.h"

namespace {

using captiond::AudioBlock;
using captiond::AudioPatchFramer;
using captiond::FramedPatch;
using captiond::VoiceChange;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::size_t kPatch = captiond::AudioPatches::kSamplesPerPatch;
constexpr auto kSample = AudioPatchFramer::kSampleDuration;

nanoseconds samples_long(std::size_t count) { return static_cast<std::int64_t>(count) * kSample; }

// 1, 2, 3, …: exact in float32 up to 2^24.
std::vector<float> ramp(std::size_t count) {
  std::vector<float> samples(count);
  std::iota(samples.begin(), samples.end(), 1.0F);
  return samples;
}

void append(std::vector<FramedPatch>& to, const std::vector<FramedPatch>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

BOOST_AUTO_TEST_CASE(blocks_of_any_size_give_the_same_patches_at_the_same_times) {
  const auto samples = ramp(5120);
  const nanoseconds origin = milliseconds(1234) + nanoseconds(7);
  for (std::size_t size = 1; size <= 5000; ++size) {
    AudioPatchFramer framer;
    std::vector<FramedPatch> patches;
    for (std::size_t from = 0; from < samples.size(); from += size) {
      const std::size_t count = std::min(size, samples.size() - from);
      append(patches, framer.push({.samples = std::span(samples).subspan(from, count),
                                   .start = origin + samples_long(from)}));
    }
    BOOST_REQUIRE_EQUAL(patches.size(), 8u);
    BOOST_REQUIRE(!framer.drain());
    for (std::size_t i = 0; i < 8; ++i) {
      BOOST_REQUIRE(patches[i].start == origin + milliseconds(40 * i));
      BOOST_REQUIRE(patches[i].duration == milliseconds(40));
      BOOST_REQUIRE_EQUAL(patches[i].discontinuity, i == 0);
      BOOST_REQUIRE(std::equal(patches[i].samples.begin(), patches[i].samples.end(),
                               samples.begin() + static_cast<std::ptrdiff_t>(i * kPatch)));
    }
  }
}

BOOST_AUTO_TEST_CASE(jittering_timestamps_do_not_move_the_patches) {
  // A source that rounds, up to a patch early or late: times still count from the first one.
  AudioPatchFramer framer;
  const auto block = ramp(161);
  std::vector<FramedPatch> patches;
  for (std::size_t i = 0; i < 2000; ++i) {
    const auto jitter = milliseconds(static_cast<int>(i * 37 % 81) - (i == 0 ? 0 : 40));
    append(patches, framer.push({.samples = block,
                                 .start = milliseconds(500) + samples_long(161 * i) + jitter}));
  }
  BOOST_REQUIRE_EQUAL(patches.size(), 161 * 2000 / kPatch);
  for (std::size_t i = 0; i < patches.size(); ++i) {
    BOOST_REQUIRE(patches[i].start == milliseconds(500) + milliseconds(40 * i));
    BOOST_REQUIRE_EQUAL(patches[i].discontinuity, i == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_jump_of_more_than_a_patch_pads_what_waits_and_starts_a_new_time_base) {
  for (const milliseconds jump : {milliseconds(41), milliseconds(-41), milliseconds(60'000)}) {
    AudioPatchFramer framer;
    const auto block = ramp(700);
    BOOST_REQUIRE_EQUAL(framer.push({.samples = block, .start = milliseconds(100)}).size(), 1u);
    const auto restart = milliseconds(100) + samples_long(700) + jump;
    const auto patches = framer.push({.samples = block, .start = restart});

    BOOST_REQUIRE_EQUAL(patches.size(), 2u);
    BOOST_TEST((patches[0].start == milliseconds(140)));
    BOOST_TEST((patches[0].duration == samples_long(60)));
    BOOST_TEST(!patches[0].discontinuity);
    for (std::size_t i = 0; i < kPatch; ++i) {
      BOOST_REQUIRE_EQUAL(patches[0].samples[i], i < 60 ? block[640 + i] : 0.0F);
    }
    BOOST_TEST((patches[1].start == restart));
    BOOST_TEST(patches[1].discontinuity);
    BOOST_TEST(patches[1].samples[0] == 1.0F);
  }
}

BOOST_AUTO_TEST_CASE(a_jump_of_one_patch_is_still_jitter) {
  AudioPatchFramer framer;
  const auto block = ramp(700);
  framer.push({.samples = block, .start = milliseconds(100)});
  const auto patches =
      framer.push({.samples = block, .start = milliseconds(140) + samples_long(700)});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST((patches[0].start == milliseconds(140)));
  BOOST_TEST(!patches[0].discontinuity);
  BOOST_TEST((framer.drain()->start == milliseconds(180)));
}

BOOST_AUTO_TEST_CASE(a_block_that_says_discontinuity_is_believed_without_a_jump) {
  AudioPatchFramer framer;
  const auto block = ramp(100);
  framer.push({.samples = block, .start = milliseconds(0)});
  const auto patches =
      framer.push({.samples = block, .start = samples_long(100), .discontinuity = true});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST((patches[0].duration == samples_long(100)));
  const auto rest = framer.drain();
  BOOST_REQUIRE(rest);
  BOOST_TEST((rest->start == samples_long(100)));
  BOOST_TEST(rest->discontinuity);
}

BOOST_AUTO_TEST_CASE(blocks_without_a_time_follow_the_last_sample_or_the_origin) {
  AudioPatchFramer framer;
  framer.reset(milliseconds(7));
  const auto block = ramp(320);
  BOOST_TEST(framer.push({.samples = block}).empty());
  const auto patches = framer.push({.samples = block});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST((patches[0].start == milliseconds(7)));
  framer.push({.samples = block});
  framer.push({.samples = block, .discontinuity = true});
  BOOST_TEST((framer.drain()->start == milliseconds(67)));
}

BOOST_AUTO_TEST_CASE(drain_pads_with_zeros_once_and_says_how_long_the_sound_was) {
  AudioPatchFramer framer;
  BOOST_TEST(!framer.drain());
  const auto block = ramp(641);
  BOOST_TEST(framer.push({.samples = block, .start = milliseconds(0)}).size() == 1u);
  const auto rest = framer.drain();
  BOOST_REQUIRE(rest);
  BOOST_TEST((rest->start == milliseconds(40)));
  BOOST_TEST((rest->duration == kSample));
  BOOST_TEST(rest->samples[0] == 641.0F);
  for (std::size_t i = 1; i < kPatch; ++i) BOOST_REQUIRE_EQUAL(rest->samples[i], 0.0F);
  BOOST_TEST(!framer.drain());
}

BOOST_AUTO_TEST_CASE(what_follows_known_silence_is_no_discontinuity_and_keeps_its_own_time) {
  AudioPatchFramer framer;
  const auto block = ramp(320);
  framer.push({.samples = block, .start = milliseconds(0)});
  const auto rest = framer.gap(milliseconds(20), milliseconds(500));
  BOOST_REQUIRE(rest);
  BOOST_TEST((rest->start == milliseconds(0)));
  BOOST_TEST((rest->duration == milliseconds(20)));
  const auto late = milliseconds(520) + nanoseconds(31);
  framer.push({.samples = block, .start = late});
  const auto patches = framer.push({.samples = block});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST((patches[0].start == late));
  BOOST_TEST(!patches[0].discontinuity);

  BOOST_TEST(!framer.gap(milliseconds(560), milliseconds(10)));
  framer.push({.samples = block, .start = milliseconds(700)});
  BOOST_TEST(framer.drain()->discontinuity, "the silence ended at 570 ms");
}

BOOST_AUTO_TEST_CASE(a_voice_change_marks_the_patch_that_holds_its_first_sample) {
  AudioPatchFramer framer;
  const auto block = ramp(160);
  std::vector<FramedPatch> patches;
  for (std::size_t i = 0; i < 12; ++i) {
    AudioBlock next{.samples = block, .start = samples_long(160 * i)};
    if (i == 5) next.voice = VoiceChange{.active = true, .level = 20};
    if (i == 8) next.voice = VoiceChange{.active = false, .level = 90};
    append(patches, framer.push(next));
  }
  BOOST_REQUIRE_EQUAL(patches.size(), 3u);
  BOOST_TEST(!patches[0].voice);
  BOOST_TEST((patches[1].voice == VoiceChange{.active = true, .level = 20}));
  BOOST_TEST((patches[2].voice == VoiceChange{.active = false, .level = 90}));
}

BOOST_AUTO_TEST_CASE(a_voice_change_on_a_long_block_marks_its_first_patch_only) {
  AudioPatchFramer framer;
  const auto block = ramp(2000);
  const auto patches = framer.push({.samples = block,
                                    .start = milliseconds(0),
                                    .voice = VoiceChange{.active = true, .level = 1}});
  BOOST_REQUIRE_EQUAL(patches.size(), 3u);
  BOOST_TEST(patches[0].voice.has_value());
  BOOST_TEST(!patches[1].voice);
  BOOST_TEST(!framer.drain()->voice);
}

BOOST_AUTO_TEST_CASE(of_several_voice_changes_in_one_patch_the_last_counts) {
  AudioPatchFramer framer;
  const auto block = ramp(320);
  framer.push({.samples = block, .voice = VoiceChange{.active = true, .level = 1}});
  const auto patches =
      framer.push({.samples = block, .voice = VoiceChange{.active = false, .level = 2}});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST((patches[0].voice == VoiceChange{.active = false, .level = 2}));
}

BOOST_AUTO_TEST_CASE(a_voice_change_at_a_jump_marks_the_patch_after_it) {
  AudioPatchFramer framer;
  const auto block = ramp(100);
  framer.push({.samples = block, .start = milliseconds(0)});
  const auto patches = framer.push({.samples = block,
                                    .start = milliseconds(900),
                                    .voice = VoiceChange{.active = true, .level = 3}});
  BOOST_REQUIRE_EQUAL(patches.size(), 1u);
  BOOST_TEST(!patches[0].voice);
  BOOST_TEST((framer.drain()->voice == VoiceChange{.active = true, .level = 3}));
}

BOOST_AUTO_TEST_CASE(reset_forgets_samples_voice_and_time) {
  AudioPatchFramer framer;
  const auto block = ramp(320);
  framer.push({.samples = block,
               .start = milliseconds(900),
               .voice = VoiceChange{.active = true, .level = 3}});
  framer.reset(milliseconds(10));
  BOOST_TEST(!framer.drain());
  framer.push({.samples = block});
  const auto rest = framer.drain();
  BOOST_REQUIRE(rest);
  BOOST_TEST((rest->start == milliseconds(10)));
  BOOST_TEST(rest->discontinuity);
  BOOST_TEST(!rest->voice);
}

BOOST_AUTO_TEST_CASE(an_empty_block_gives_nothing_but_its_voice_change_is_kept) {
  AudioPatchFramer framer;
  BOOST_TEST(
      framer.push({.samples = {}, .voice = VoiceChange{.active = true, .level = 3}}).empty());
  BOOST_TEST(!framer.drain());
  const auto block = ramp(640);
  BOOST_TEST(framer.push({.samples = block}).at(0).voice.has_value());
}
