#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "model/engine.h"

namespace captiond {

// What one live caption stream asks of an engine, as SpeechCaptioner (elements) does with an update
// a second: 25 patches of audio a second in two appends; with the second one a fork of the segment
// is closed by the prompt's suffix and the text that is stable so far, and continued greedily by
// some tokens, with the end of the last hypothesis as a draft. Segments restart.
struct CaptionLoad {
  std::size_t prompt = 48;       // positions before the audio, computed once a stream
  std::size_t suffix = 15;       // positions between audio and text
  std::size_t segment_s = 15;    // updates of a segment
  std::size_t text_per_s = 4;    // tokens that become stable with each update of a segment
  std::size_t tokens_least = 4;  // of an update
  std::size_t tokens_most = 8;
};

// What came of the updates of one measurement.
struct CaptionLatencies {
  std::vector<double> seconds;  // each update's: from its last patch to its last token, ascending
  std::size_t missed = 0;       // not done, or not even begun, when the stream's next was due
  std::size_t tokens = 0;

  std::size_t updates() const { return seconds.size() + missed; }
  // The least time that a share of all updates did not exceed; infinite if so many were missed.
  double quantile(double share) const;
};

// Streams with evenly staggered updates, driven by the thread that calls. What is appended is noise
// and random tokens: the time of an engine does not depend on what they say, as long as nothing
// ends early.
class CaptionStreams {
 public:
  CaptionStreams(Engine& engine, const CaptionLoad& load);
  ~CaptionStreams();

  // Makes streams or takes some away; new ones are in the middle of a segment, computed on return.
  void resize(std::size_t count);
  std::size_t size() const { return streams_.size(); }

  // Runs all streams in real time. The updates due in the first `warm_s` seconds do not count. Ends
  // early once more than `missed_max` of the updates expected are later than `late_s`.
  CaptionLatencies run(double warm_s, double measured_s, double late_s, double missed_max);

  // Positions of a segment with its last update, and the rows that a stream computes a second.
  static std::size_t positions_max(const CaptionLoad& load);
  static double rows_per_s(const CaptionLoad& load);

 private:
  using Clock = std::chrono::steady_clock;

  struct Done {
    std::size_t stream = 0;
    std::uint64_t update = 0;
    Clock::time_point at;
    Generation generation;
    std::exception_ptr error;
  };
  // What the engine's thread tells; outlives the streams.
  struct Inbox {
    std::mutex mutex;
    std::vector<Done> done;
  };
  struct Stream {
    std::unique_ptr<Context> prompt;
    std::unique_ptr<Context> segment;
    std::unique_ptr<Context> update;  // under way
    std::vector<TokenId> text;        // stable so far
    std::vector<TokenId> draft;
    std::size_t age_s = 0;     // updates of the segment so far
    std::uint64_t number = 0;  // of the update under way
    Clock::time_point due;     // of its last patch
    bool counts = false;
  };

  void hear(Stream& stream, std::size_t patches);
  void ask(std::size_t index, Clock::time_point due, bool counts, CaptionLatencies& result);
  void begin_segment(Stream& stream);
  void collect(CaptionLatencies& result);
  std::vector<TokenId> random_ids(std::size_t count);

  Engine& engine_;
  const CaptionLoad load_;
  std::mt19937 random_{1};
  const std::vector<float> noise_;
  std::vector<TokenId> suffix_;
  std::vector<Stream> streams_;
  std::uint64_t updates_ = 0;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
};

}  // namespace captiond
