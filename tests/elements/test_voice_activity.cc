#define BOOST_TEST_MODULE voice_activity
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include "elements/voice_activity.h"

using namespace captiond;

namespace {

// Noise of the given level, the same for the same seed.
AudioPatch noise(double level_dbfs, std::uint32_t& seed, std::optional<bool> change = {}) {
  AudioPatch patch;
  patch.voice_change = change;
  const double amplitude = std::pow(10, level_dbfs / 20) * std::sqrt(3.0);
  for (float& sample : patch.samples) {
    seed = seed * 1664525u + 1013904223u;
    sample = static_cast<float>(amplitude * (seed / 2147483648.0 - 1));
  }
  return patch;
}

// "0" and "1" for `count` patches of noise at `level_dbfs`.
std::string flags(VoiceActivity& activity, double level_dbfs, int count, std::uint32_t& seed) {
  std::string out;
  for (int i = 0; i < count; ++i) out += activity.hear(noise(level_dbfs, seed)) ? '1' : '0';
  return out;
}

std::string ones(int count) { return std::string(static_cast<std::size_t>(count), '1'); }
std::string zeros(int count) { return std::string(static_cast<std::size_t>(count), '0'); }

}  // namespace

BOOST_AUTO_TEST_CASE(mean_square_is_that_of_the_samples) {
  AudioPatch patch;
  BOOST_TEST(mean_square(patch) == 0);
  patch.samples.fill(-0.5f);
  BOOST_TEST(mean_square(patch) == 0.25);
}

BOOST_AUTO_TEST_CASE(durations_are_covered_by_whole_patches) {
  using namespace std::chrono_literals;
  BOOST_TEST(patches_covering(0ms) == 0u);
  BOOST_TEST(patches_covering(-5ms) == 0u);
  BOOST_TEST(patches_covering(1ns) == 1u);
  BOOST_TEST(patches_covering(40ms) == 1u);
  BOOST_TEST(patches_covering(41ms) == 2u);
  BOOST_TEST(patches_covering(15s) == 375u);
  BOOST_CHECK(duration_of(25) == 1s);
}

BOOST_AUTO_TEST_CASE(energy_hears_speech_over_digital_silence_from_its_first_patch) {
  VoiceActivity activity(VoiceActivityMode::kEnergy);
  std::uint32_t seed = 1;
  AudioPatch silence;
  for (int i = 0; i < 100; ++i) BOOST_TEST(!activity.hear(silence));
  BOOST_TEST(flags(activity, -25, 20, seed) == ones(20));
  for (int i = 0; i < 20; ++i) BOOST_TEST(!activity.hear(silence));
}

BOOST_AUTO_TEST_CASE(a_recording_that_begins_in_speech_is_heard_from_its_first_patch) {
  VoiceActivity activity(VoiceActivityMode::kEnergy);
  std::uint32_t seed = 2;
  BOOST_TEST(flags(activity, -20, 25, seed) == ones(25));
}

BOOST_AUTO_TEST_CASE(steady_noise_stops_being_speech_within_three_seconds) {
  VoiceActivity activity(VoiceActivityMode::kEnergy);
  std::uint32_t seed = 3;
  flags(activity, -40, 75, seed);
  BOOST_TEST(flags(activity, -40, 100, seed) == zeros(100));
  // And speech well above that noise is heard, noise after it is not.
  BOOST_TEST(flags(activity, -20, 30, seed) == ones(30));
  BOOST_TEST(flags(activity, -40, 30, seed) == zeros(30));
}

BOOST_AUTO_TEST_CASE(what_is_below_the_least_level_is_never_speech) {
  VoiceActivity activity(VoiceActivityMode::kEnergy);
  std::uint32_t seed = 4;
  AudioPatch silence;
  for (int i = 0; i < 100; ++i) activity.hear(silence);
  BOOST_TEST(flags(activity, -58, 20, seed) == zeros(20));
}

BOOST_AUTO_TEST_CASE(meta_follows_upstream_and_hears_nothing_before_its_first_word) {
  VoiceActivity activity(VoiceActivityMode::kMeta);
  std::uint32_t seed = 5;
  BOOST_TEST(flags(activity, -10, 10, seed) == zeros(10));
  BOOST_TEST(!activity.upstream_speaks());
  BOOST_TEST(activity.hear(noise(-80, seed, true)));
  BOOST_TEST(activity.upstream_speaks());
  BOOST_TEST(flags(activity, -80, 10, seed) == ones(10));
  BOOST_TEST(!activity.hear(noise(-10, seed, false)));
  BOOST_TEST(flags(activity, -10, 10, seed) == zeros(10));
  BOOST_TEST(activity.source() == "meta");
}

BOOST_AUTO_TEST_CASE(auto_listens_to_loudness_until_upstream_speaks) {
  VoiceActivity activity(VoiceActivityMode::kAuto);
  std::uint32_t seed = 6;
  BOOST_TEST(activity.source() == "energy");
  BOOST_TEST(flags(activity, -10, 10, seed) == ones(10));
  BOOST_TEST(!activity.hear(noise(-10, seed, false)));
  BOOST_TEST(activity.source() == "meta");
  BOOST_TEST(flags(activity, -10, 10, seed) == zeros(10));
}

BOOST_AUTO_TEST_CASE(energy_does_not_follow_upstream) {
  VoiceActivity activity(VoiceActivityMode::kEnergy);
  std::uint32_t seed = 7;
  BOOST_TEST(activity.hear(noise(-10, seed, false)));
  BOOST_TEST(activity.source() == "energy");
}

BOOST_AUTO_TEST_CASE(none_takes_everything_for_speech) {
  VoiceActivity activity(VoiceActivityMode::kNone);
  std::uint32_t seed = 8;
  BOOST_TEST(activity.hear(AudioPatch{}));
  BOOST_TEST(activity.hear(noise(-10, seed, false)));
  BOOST_TEST(activity.source() == "none");
}
