// std::chrono and Protobuf's times, both ways.
#pragma once

#include <chrono>
#include <string>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

namespace captiond {

google::protobuf::Timestamp to_timestamp(std::chrono::system_clock::time_point time);
google::protobuf::Duration to_duration(std::chrono::nanoseconds duration);
std::chrono::nanoseconds from_duration(const google::protobuf::Duration& duration);

// RFC 3339 in UTC: "2026-07-20T14:03:05.120Z".
std::string timestamp_text(std::chrono::system_clock::time_point time);

}  // namespace captiond
