#include "pipeline/back_off.h"

#include <algorithm>

#include "pipeline/proto_time.h"

namespace captiond {

BackOff::BackOff(const v1::RestartConfig& restart, std::uint64_t seed)
    : delay_min_(from_duration(restart.delay_min())),
      delay_max_(from_duration(restart.delay_max())),
      reset_after_(from_duration(restart.reset_after())),
      factor_(restart.factor()),
      jitter_(restart.jitter()),
      delay_(delay_min_),
      random_(seed) {}

std::chrono::nanoseconds BackOff::next(std::chrono::nanoseconds run) {
  if (run >= reset_after_) {
    failures_ = 0;
    delay_ = delay_min_;
  }
  ++failures_;
  const auto base = static_cast<double>(delay_.count());
  const double part = std::uniform_real_distribution<double>(-jitter_, jitter_)(random_);
  // The bound first: base * factor may exceed what nanoseconds can hold.
  const double longest = static_cast<double>(delay_max_.count());
  delay_ = std::chrono::nanoseconds(
      static_cast<std::chrono::nanoseconds::rep>(std::min(base * factor_, longest)));
  return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(base * (1.0 + part)));
}

}  // namespace captiond
