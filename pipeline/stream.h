#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <spdlog/logger.h>
#include <string>
#include <thread>
#include <vector>

#include "captiond/v1/event.pb.h"
#include "pipeline/bus_watch.h"
#include "pipeline/caption_body.h"
#include "pipeline/main_loop.h"
#include "pipeline/stream_graph.h"
#include "pipeline/stream_plan.h"

namespace captiond {

// Who is told what a Stream does. Called on the main loop.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // The first sound or picture has come.
  virtual void on_running() = 0;
  // A body of a transcript, translation, scene or gap; no stream, epoch or number yet.
  virtual void on_body(v1::Event body) = 0;
  // The last call, once, when every thread of the stream has ended. `failure` is empty if the
  // source has come to its end or finish() was asked for, else one sentence why it failed. May
  // destroy the Stream.
  virtual void on_end(const std::string& failure) = 0;
};

// One run of one source, from the first byte to the last caption. Main thread only; the work is
// done by the pipeline's own threads, and starting and stopping it too, because either may take
// long.
//
// The first error decides. What was heard until then is still captioned, for at most three seconds,
// unless it was the captioner that failed.
class Stream {
 public:
  // Builds the pipeline. `listener` is borrowed; `engine` is a captiond.engine context. Throws
  // StreamError.
  Stream(StreamPlan plan, GstContext* engine, StreamListener& listener,
         std::shared_ptr<spdlog::logger> log);
  // Once started, a stream must have ended before it goes: anything else is a programmer error.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void start();

  // Stops taking from the source, has the open segment captioned, then ends.
  void finish();

  // Ends at once, without what is open.
  void abandon();

  // Stream time up to which sound (or pictures) have come, and that of the whole source if it is
  // known.
  std::chrono::nanoseconds position() const;
  std::optional<std::chrono::nanoseconds> duration() const;

 private:
  enum class Phase { kNew, kRunning, kFinishing, kStopping, kEnded };

  void handle(GstMessage* message);
  void handle_element_message(GstMessage* message);
  void handle_error(GstMessage* message);
  void handle_warning(GstMessage* message);
  void handle_gap(const GstStructure* gap);
  void handle_end_of_stream();
  void note_first_media();
  void check_tracks();
  void check_supply();
  // `predicate` continues the source's name to a sentence.
  void fail(const std::string& predicate, bool finish_first);
  void push_end_of_stream();
  void change_state(GstState state, std::function<void()> done);
  void stop();
  void stop_pipeline();
  void end();

  const StreamPlan plan_;
  StreamListener& listener_;
  const std::shared_ptr<spdlog::logger> log_;
  StreamGraph graph_;
  Phase phase_ = Phase::kNew;
  bool starting_ = false;  // state_thread_ is taking the pipeline to PLAYING
  bool heard_ = false;     // the first sound or picture has come
  std::string failure_;
  WallZero wall_zero_;
  std::optional<BusWatch> bus_;
  std::optional<Timer> supply_timer_;
  std::optional<Timer> finish_timer_;
  std::thread state_thread_;              // while the pipeline's state is changed
  std::vector<std::thread> end_threads_;  // each waits to end a track early
};

}  // namespace captiond
