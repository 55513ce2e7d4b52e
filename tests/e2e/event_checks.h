#pragma once

#include <string>
#include <vector>

#include "captiond/v1/event.pb.h"

namespace captiond::test {

using Events = std::vector<v1::Event>;

Events of_stream(const Events& events, const std::string& id);

std::vector<std::string> final_texts(const Events& events);

bool is_state(const v1::Event& event, v1::StreamState::State state);

// Boost checks. Of the events of one epoch of one stream, from its first on: 1, 2, 3, … and one
// epoch.
void check_numbering(const Events& events);

// Boost checks. Of the transcripts among `events`: within each segment revisions count up, stable
// text stays, and the last one is final.
void check_transcripts(const Events& events);

}  // namespace captiond::test
