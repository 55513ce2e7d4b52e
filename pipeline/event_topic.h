#pragma once

#include <string>
#include <string_view>

#include "captiond/v1/event.pb.h"

namespace captiond {

// The first frame of an event's message: STREAM/KIND[/LANGUAGE], such as "lobby/transcript/en",
// "lobby/scene", "lobby/state". ZeroMQ subscriptions are prefixes of it: "lobby/" for everything of
// one stream, so that sequence numbers show every loss.
std::string event_topic(const v1::Event& event);

// "transcript", "translation", "scene", "alert", "state", "gap" or "heartbeat". An event without a
// body is a programmer error.
std::string_view event_kind(const v1::Event& event);

}  // namespace captiond
