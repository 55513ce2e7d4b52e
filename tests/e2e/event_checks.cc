#include "tests/e2e/event_checks.h"

#include <algorithm>
#include <iterator>

#include <boost/test/unit_test.hpp>

#include "pipeline/proto_time.h"

namespace captiond::test {

Events of_stream(const Events& events, const std::string& id) {
  Events found;
  std::copy_if(events.begin(), events.end(), std::back_inserter(found),
               [&](const v1::Event& event) { return event.stream() == id; });
  return found;
}

std::vector<std::string> final_texts(const Events& events) {
  std::vector<std::string> texts;
  for (const v1::Event& event : events) {
    if (event.transcript().final()) texts.push_back(event.transcript().text());
  }
  return texts;
}

void check_numbering(const Events& events) {
  BOOST_REQUIRE(!events.empty());
  for (std::size_t i = 0; i < events.size(); ++i) {
    BOOST_TEST(events[i].sequence() == i + 1);
    BOOST_TEST(events[i].epoch() == events.front().epoch());
    BOOST_TEST(events[i].published_at().seconds() > 0);
  }
}

void check_transcripts(const Events& events) {
  std::uint64_t segment = 0;
  std::uint32_t revision = 0;
  std::string stable;
  for (const v1::Event& event : events) {
    if (!event.has_transcript()) continue;
    const v1::Transcript& transcript = event.transcript();
    BOOST_TEST(transcript.segment() == segment);
    BOOST_TEST(transcript.revision() >= revision);
    BOOST_TEST(transcript.text().starts_with(stable));
    BOOST_TEST(transcript.language() == "en");
    BOOST_TEST((from_duration(transcript.start()) <= from_duration(transcript.end())));
    stable = transcript.text().substr(0, transcript.stable_length());
    revision = transcript.revision() + 1;
    if (!transcript.final()) continue;
    BOOST_TEST(transcript.stable_length() == transcript.text().size());
    ++segment;
    revision = 0;
    stable.clear();
  }
}

bool is_state(const v1::Event& event, v1::StreamState::State state) {
  return event.has_stream_state() && event.stream_state().state() == state;
}

}  // namespace captiond::test
