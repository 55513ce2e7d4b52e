#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "captiond/v1/config.pb.h"

namespace captiond {

// How long to wait before a stream is tried again: delay_min, then `factor` times as long after
// each failure up to delay_max, each time more or less by a random part of up to `jitter`, so that
// many streams of one server do not come back at the same instant. One owner.
class BackOff {
 public:
  // `restart` has passed find_problem(). The same seed gives the same delays.
  BackOff(const v1::RestartConfig& restart, std::uint64_t seed);

  // After a failure of a run that lasted `run`: one of at least reset_after begins anew at
  // delay_min.
  std::chrono::nanoseconds next(std::chrono::nanoseconds run);

  // Failures since the last run that was long enough.
  std::uint32_t failures() const { return failures_; }

 private:
  const std::chrono::nanoseconds delay_min_;
  const std::chrono::nanoseconds delay_max_;
  const std::chrono::nanoseconds reset_after_;
  const double factor_;
  const double jitter_;
  std::chrono::nanoseconds delay_;  // before the next try, without jitter
  std::uint32_t failures_ = 0;
  std::mt19937_64 random_;
};

}  // namespace captiond
