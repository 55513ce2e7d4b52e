#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "captiond/v1/event.pb.h"

namespace captiond {

// Finds the events that a subscriber has lost. It must see every event of the streams that it
// watches, heartbeats too, in the order of arrival. One owner.
class SequenceWatch {
 public:
  // How many events of event.stream() are missing between those seen so far and this one. The first
  // event of a stream counts nothing: what was before the subscription is no loss. Events lost at
  // the end of an epoch show only if a heartbeat came after them.
  std::uint64_t missing_before(const v1::Event& event);

  std::uint64_t missing() const { return missing_; }

 private:
  struct Last {
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;
  };
  std::map<std::string, Last> last_;  // of each stream
  std::uint64_t missing_ = 0;
};

}  // namespace captiond
