#define BOOST_TEST_MODULE bfloat16

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>

#include <boost/test/unit_test.hpp>

#include "model/bfloat16.h"

using namespace captiond;

BOOST_AUTO_TEST_CASE(values_of_eight_significant_bits_come_back) {
  for (const float value : {0.0F, 1.0F, -1.0F, 62.0F, 0.00390625F, 255.0F, -3.0e38F / 1.5F}) {
    const float rounded = float_of_bfloat16(bfloat16_of(value));
    BOOST_TEST(float_of_bfloat16(bfloat16_of(rounded)) == rounded);
  }
  BOOST_TEST(float_of_bfloat16(bfloat16_of(62.0F)) == 62.0F);
  BOOST_TEST(bfloat16_of(-0.0F) == 0x8000U);
}

BOOST_AUTO_TEST_CASE(a_tie_goes_to_the_even_neighbour) {
  // 256 … 512 are two apart: 257 lies between 256 (even) and 258 (odd), 259 between 258 and 260.
  BOOST_TEST(float_of_bfloat16(bfloat16_of(257.0F)) == 256.0F);
  BOOST_TEST(float_of_bfloat16(bfloat16_of(259.0F)) == 260.0F);
  BOOST_TEST(float_of_bfloat16(bfloat16_of(257.01F)) == 258.0F);
  BOOST_TEST(float_of_bfloat16(bfloat16_of(61.9677F)) == 62.0F);  // the scale of 3840
}

BOOST_AUTO_TEST_CASE(no_value_is_further_away_than_half_a_step) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 30.0F);
  for (int i = 0; i < 100000; ++i) {
    const float value = normal(random);
    const float error = std::abs(float_of_bfloat16(bfloat16_of(value)) - value);
    BOOST_TEST_REQUIRE(error <= std::abs(value) / 256.0F);
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_number_stays_so) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  BOOST_TEST(float_of_bfloat16(bfloat16_of(kInfinity)) == kInfinity);
  BOOST_TEST(float_of_bfloat16(bfloat16_of(-kInfinity)) == -kInfinity);
  BOOST_TEST(float_of_bfloat16(bfloat16_of(std::numeric_limits<float>::max())) == kInfinity);
  BOOST_TEST(std::isnan(float_of_bfloat16(bfloat16_of(std::nanf("")))));
  // Only low bits are set: cut off they would make an infinity.
  const std::uint32_t bits = 0x7f800001U;
  float quiet = 0.0F;
  std::memcpy(&quiet, &bits, sizeof(quiet));
  BOOST_TEST(std::isnan(float_of_bfloat16(bfloat16_of(quiet))));
}
