#pragma once

#include <bit>
#include <cstdint>

namespace captiond::kernels {

// How one token is chosen of its logits, by the host (Sampler) or by a GPU (kernels/sample.h): both
// do the integer arithmetic below, so that they choose the same token.
//
// Of the ids that are not suppressed stay those whose logit is at least the k-th largest (ties
// stay, as in transformers), and of these the fewest of the most likely whose probability reaches
// top_p (of equal ones the lower ids first). A weight is 2^40 for the largest logit and falls with
// the distance from it, rounded down: sums are exact, and the order of adding does not matter. The
// token is the first, by id, where the running sum exceeds random / 2^64 of the whole sum.
//
// The default is the greedy choice: the first largest logit.
struct Draw {
  std::uint64_t random = 0;  // uniform
  std::uint64_t top_p = 0;   // of 2^64; 0: off
  std::int32_t top_k = 1;    // 0: off
  float scale = 0.0F;        // log2(e) / temperature, finite
};

// A number that orders logits as they are ordered, more than 0. Zeros of both signs are equal.
constexpr std::uint32_t key_of_logit(float logit) {
  const auto bits = std::bit_cast<std::uint32_t>(logit + 0.0F);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}
constexpr float logit_of_key(std::uint32_t key) {
  return std::bit_cast<float>((key >> 31) != 0 ? key ^ 0x80000000U : ~key);
}

// The upper half of the product: a * b / 2^64.
constexpr std::uint64_t upper_product(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t a_low = a & 0xFFFFFFFFU, a_high = a >> 32;
  const std::uint64_t b_low = b & 0xFFFFFFFFU, b_high = b >> 32;
  const std::uint64_t cross = a_high * b_low + (a_low * b_low >> 32);
  return a_high * b_high + (cross >> 32) + ((a_low * b_high + (cross & 0xFFFFFFFFU)) >> 32);
}

// 2^31 * 2^(-f / 2^32): a polynomial in fixed point, right to 4e-9 of it, and exact at 0.
constexpr std::uint32_t power_of_half(std::uint32_t f) {
  constexpr std::uint32_t kFactors[] = {1488521986, 515877902, 119165493,
                                        20571132,   2737501,   234126};
  std::uint32_t value = 0;
  for (int i = 5; i >= 0; --i) {
    value = kFactors[i] - static_cast<std::uint32_t>(std::uint64_t{value} * f >> 32);
  }
  return 0x80000000U - static_cast<std::uint32_t>(std::uint64_t{value} * f >> 32);
}

// 2^40 * exp((logit - largest) / temperature), rounded down. float32 carries the exponent to 1e-7
// of it, less than what the rounding of a logit leaves open.
constexpr std::uint64_t weight_of_logit(float logit, float largest, float scale) {
  const float halvings = (largest - logit) * scale;
  if (!(halvings < 41.0F)) return 0;
  const auto fixed = static_cast<std::uint32_t>(halvings * 0x1p26F);
  return (std::uint64_t{power_of_half(fixed << 6)} << 9) >> (fixed >> 26);
}

// What of `total` reaches top_p.
constexpr std::uint64_t share_of_top_p(std::uint64_t total, std::uint64_t top_p) {
  return upper_product(total, top_p) + (total * top_p != 0 ? 1 : 0);
}

}  // namespace captiond::kernels
