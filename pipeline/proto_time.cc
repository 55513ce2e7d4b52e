#include "pipeline/proto_time.h"

#include <google/protobuf/util/time_util.h>

namespace captiond {

using google::protobuf::util::TimeUtil;

google::protobuf::Timestamp to_timestamp(std::chrono::system_clock::time_point time) {
  const auto since_1970 = std::chrono::nanoseconds(time.time_since_epoch());
  return TimeUtil::NanosecondsToTimestamp(since_1970.count());
}

google::protobuf::Duration to_duration(std::chrono::nanoseconds duration) {
  return TimeUtil::NanosecondsToDuration(duration.count());
}

std::chrono::nanoseconds from_duration(const google::protobuf::Duration& duration) {
  return std::chrono::nanoseconds(TimeUtil::DurationToNanoseconds(duration));
}

std::string timestamp_text(std::chrono::system_clock::time_point time) {
  return TimeUtil::ToString(to_timestamp(time));
}

}  // namespace captiond
