#pragma once

#include <cstdint>
#include <cstring>

namespace captiond {

// The upper half of a float32, rounded to the nearest, ties to even; a NaN stays one.
inline std::uint16_t bfloat16_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffU) > 0x7f800000U) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

inline float float_of_bfloat16(std::uint16_t value) {
  const std::uint32_t bits = std::uint32_t{value} << 16;
  float out = 0.0F;
  std::memcpy(&out, &bits, sizeof(out));
  return out;
}

}  // namespace captiond
