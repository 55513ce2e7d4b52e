#include "pipeline/stream.h"

#include <algorithm>
#include <utility>

#include "elements/caption_message.h"
#include "elements/gst_handle.h"
#include "model/check.h"
#include "pipeline/proto_time.h"
#include "pipeline/stream_error.h"

namespace captiond {
namespace {

// How long what was heard before an error may take to be captioned.
constexpr std::chrono::seconds kFinishAfterError(3);

bool is_named(const GstStructure* structure, const char* name) {
  return structure != nullptr && gst_structure_has_name(structure, name);
}

}  // namespace

Stream::Stream(StreamPlan plan, GstContext* engine, StreamListener& listener,
               std::shared_ptr<spdlog::logger> log)
    : plan_(std::move(plan)),
      listener_(listener),
      log_(std::move(log)),
      graph_(build_stream_graph(plan_, engine)),
      bus_(std::in_place, graph_.pipeline.get(), [this](GstMessage* message) { handle(message); }) {
}

Stream::~Stream() {
  check(phase_ == Phase::kNew || phase_ == Phase::kEnded, "a stream was destroyed while it ran");
}

void Stream::start() {
  phase_ = Phase::kRunning;
  starting_ = true;
  change_state(GST_STATE_PLAYING, [this] {
    starting_ = false;
    if (phase_ == Phase::kStopping) stop_pipeline();
  });
  const auto patience = from_duration(plan_.config.restart().stall_timeout());
  if (patience.count() > 0) {
    supply_timer_.emplace(Timer::Kind::kRepeating, patience / 4, [this] { check_supply(); });
  }
}

void Stream::finish() {
  if (phase_ != Phase::kRunning) return;
  if (!heard_) return stop();
  phase_ = Phase::kFinishing;
  supply_timer_.reset();
  push_end_of_stream();
}

void Stream::abandon() {
  if (phase_ == Phase::kRunning || phase_ == Phase::kFinishing) stop();
}

std::chrono::nanoseconds Stream::position() const {
  std::chrono::nanoseconds latest{};
  for (const auto* track : {&graph_.audio, &graph_.video}) {
    if (*track) latest = std::max(latest, (*track)->queue.position());
  }
  return latest;
}

std::optional<std::chrono::nanoseconds> Stream::duration() const {
  gint64 nanoseconds = 0;
  if (!gst_element_query_duration(graph_.decoder, GST_FORMAT_TIME, &nanoseconds) ||
      nanoseconds < 0) {
    return std::nullopt;
  }
  return std::chrono::nanoseconds(nanoseconds);
}

void Stream::handle(GstMessage* message) {
  if (phase_ == Phase::kStopping || phase_ == Phase::kEnded) return;
  switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ERROR:
      return handle_error(message);
    case GST_MESSAGE_WARNING:
      return handle_warning(message);
    case GST_MESSAGE_EOS:
      return handle_end_of_stream();
    case GST_MESSAGE_ELEMENT:
      return handle_element_message(message);
    case GST_MESSAGE_APPLICATION:
      if (is_named(gst_message_get_structure(message), "captiond-no-more-pads")) check_tracks();
      return;
    case GST_MESSAGE_LATENCY:
      gst_bin_recalculate_latency(GST_BIN(graph_.pipeline.get()));
      return;
    default:
      return;
  }
}

void Stream::handle_element_message(GstMessage* message) {
  const GstStructure* structure = gst_message_get_structure(message);
  if (is_named(structure, "captiond-first-media")) return note_first_media();
  if (is_named(structure, "captiond-gap")) return handle_gap(structure);
  const auto caption = gst::parse_caption(structure);
  if (!caption) return;
  if (auto body = caption_body(*caption, wall_zero_)) listener_.on_body(std::move(*body));
}

void Stream::handle_error(GstMessage* message) {
  const BusReport report(message);
  const std::string sentence = plan_.uri.scrub(report.sentence);
  log_->debug("{}: {} [{}]", plan_.config.id(), sentence, report.source);
  const bool captioner = GST_MESSAGE_SRC(message) == GST_OBJECT(graph_.captioner);
  GError* error = nullptr;
  gst_message_parse_error(message, &error, nullptr);
  const gst::ErrorHandle owned(error);
  // The decoder says this of every track when it was asked for another kind of track.
  if (!heard_ && g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN)) {
    const char* wanted = plan_.config.captions().enabled() ? "audio" : "video";
    return fail(std::string("has no ") + wanted + " track that can be decoded", false);
  }
  if (captioner) return fail("cannot be captioned: " + sentence, false);
  fail("cannot be played: " + sentence, true);
}

void Stream::handle_warning(GstMessage* message) {
  // The captioner's one warning is that it never heard of voice activity. It cannot know that the
  // detector is there and found nothing.
  const bool silence = GST_MESSAGE_SRC(message) == GST_OBJECT(graph_.captioner) &&
                       plan_.config.captions().voice_activity() == v1::VOICE_ACTIVITY_WEBRTC;
  if (silence) return log_->info("{}: there was no speech in it", plan_.config.id());
  const BusReport report(message);
  log_->warn("{}: {} [{}]", plan_.config.id(), plan_.uri.scrub(report.sentence), report.source);
}

void Stream::handle_gap(const GstStructure* structure) {
  guint64 start = 0, end = 0;
  gboolean full = FALSE;
  gst_structure_get(structure, "start", G_TYPE_UINT64, &start, "end", G_TYPE_UINT64, &end, "full",
                    G_TYPE_BOOLEAN, &full, nullptr);
  v1::Event body;
  v1::Gap& gap = *body.mutable_gap();
  gap.set_reason(full ? v1::Gap::QUEUE_FULL : v1::Gap::SOURCE_MISSING);
  *gap.mutable_start() = to_duration(std::chrono::nanoseconds(start));
  *gap.mutable_end() = to_duration(std::chrono::nanoseconds(end));
  listener_.on_body(std::move(body));
}

void Stream::handle_end_of_stream() {
  if (!heard_) return fail("has a track, but nothing in it", false);
  stop();
}

void Stream::note_first_media() {
  if (heard_) return;
  heard_ = true;
  // Running time is stream time for what plays at the speed of the clock: see stream_graph.h.
  const GstClockTime running = gst_element_get_current_running_time(graph_.pipeline.get());
  if ((plan_.live || plan_.realtime) && GST_CLOCK_TIME_IS_VALID(running)) {
    wall_zero_ = std::chrono::system_clock::now() -
                 std::chrono::duration_cast<std::chrono::system_clock::duration>(
                     std::chrono::nanoseconds(running));
  }
  listener_.on_running();
}

void Stream::check_tracks() {
  const auto missing = [](const std::optional<StreamGraph::Track>& track) {
    return track && !gst_pad_is_linked(track->entry.get());
  };
  if (missing(graph_.audio)) return fail("has no audio track to caption", false);
  if (missing(graph_.video)) return fail("has no video track to describe", false);
}

void Stream::check_supply() {
  const auto patience = from_duration(plan_.config.restart().stall_timeout());
  for (const auto* track : {&graph_.audio, &graph_.video}) {
    if (!*track || (*track)->queue.starved() < patience) continue;
    const auto seconds = std::chrono::duration<double>(patience).count();
    return fail(fmt::format("has delivered nothing for {} s", seconds), true);
  }
}

void Stream::fail(const std::string& predicate, bool finish_first) {
  // What comes after the first error is its consequence.
  if (!failure_.empty()) return;
  failure_ = plan_.name + " " + predicate;
  if (!finish_first || !heard_) return stop();
  if (phase_ == Phase::kRunning) {
    phase_ = Phase::kFinishing;
    supply_timer_.reset();
    push_end_of_stream();
  }
  finish_timer_.emplace(Timer::Kind::kOnce, kFinishAfterError, [this] { abandon(); });
}

// The pad takes an event when the streaming thread lets it, which must not hold up the main thread.
void Stream::push_end_of_stream() {
  for (const auto* track : {&graph_.audio, &graph_.video}) {
    if (!*track) continue;
    GstPad* pad = (*track)->patcher.get();
    end_threads_.emplace_back([pad] { gst_pad_send_event(pad, gst_event_new_eos()); });
  }
}

// A thread of our own rather than gst_element_call_async(), whose thread lets go of the pipeline
// only after it has said that it is done: it could be the last to hold the engine while the program
// already ends.
void Stream::change_state(GstState state, std::function<void()> done) {
  state_thread_ = std::thread([this, state, done = std::move(done)] {
    // A failure is told on the bus.
    gst_element_set_state(graph_.pipeline.get(), state);
    post_to_main([this, done] {
      state_thread_.join();
      done();
    });
  });
}

void Stream::stop() {
  phase_ = Phase::kStopping;
  supply_timer_.reset();
  finish_timer_.reset();
  if (!starting_) stop_pipeline();
}

void Stream::stop_pipeline() {
  change_state(GST_STATE_NULL, [this] { end(); });
}

void Stream::end() {
  phase_ = Phase::kEnded;
  bus_.reset();
  // In state NULL every pad refuses events, so these have ended or are about to.
  for (std::thread& thread : end_threads_) thread.join();
  const std::string failure = failure_;
  listener_.on_end(failure);  // may destroy *this
}

}  // namespace captiond
