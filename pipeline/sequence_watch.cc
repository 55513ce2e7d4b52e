#include "pipeline/sequence_watch.h"

namespace captiond {

std::uint64_t SequenceWatch::missing_before(const v1::Event& event) {
  const auto [found, first] = last_.try_emplace(event.stream());
  Last& last = found->second;
  if (first) {
    last = {event.epoch(), event.sequence()};
    return 0;
  }
  if (event.epoch() != last.epoch) last = {event.epoch(), 0};
  // A heartbeat repeats the number of the last event, every other event has a new one.
  const std::uint64_t expected = event.has_heartbeat() ? last.sequence : last.sequence + 1;
  const std::uint64_t missing = event.sequence() > expected ? event.sequence() - expected : 0;
  last.sequence = event.sequence();
  missing_ += missing;
  return missing;
}

}  // namespace captiond
