#pragma once

#include <chrono>
#include <optional>

#include "captiond/v1/event.pb.h"
#include "elements/caption_event.h"

namespace captiond {

// When stream time zero was on the wall clock; nullopt where a file is read faster than real time.
using WallZero = std::optional<std::chrono::system_clock::time_point>;

// What the captioner tells as the body of an Event; nullopt for silence, which is not published.
std::optional<v1::Event> caption_body(const CaptionEvent& event, const WallZero& wall_zero);

}  // namespace captiond
