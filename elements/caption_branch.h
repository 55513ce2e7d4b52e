#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gst/gst.h>

#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/caption_worker.h"
#include "elements/captioner_settings.h"
#include "elements/gst_handle.h"
#include "elements/text_pad.h"

namespace captiond::gst {

// One sink pad of gemmacaptioner with the text pads that its media end up on: the way of events
// past the captioner's thread, the times of both sides, and where a caption leaves.
//
// Serialized events pass in order: what was heard before is finished and told first. Times: the
// captioner lives on stream time; buffers carry timestamps of the sink pad's segment, which the
// text pads repeat, so running time is the same on both sides.
//
// Made and destroyed while the pads are inactive; shut() comes before the destructor.
class CaptionBranch {
 public:
  // A text pad, one of TextPad::make(), and its language, told as a tag if not empty.
  struct Output {
    PadHandle pad;
    std::string name;
    std::string language;

    TextPad& text() const { return TextPad::of(pad.get()); }
  };
  struct Surroundings {
    GstElement* element;  // borrowed, outlives the branch
    GstPad* sink;         // borrowed, outlives the branch
    std::vector<Output> outputs;
    LiveMode live = LiveMode::kAuto;
    std::shared_ptr<CaptionCounters> counters;
  };

  virtual ~CaptionBranch() = default;
  CaptionBranch(const CaptionBranch&) = delete;
  CaptionBranch& operator=(const CaptionBranch&) = delete;

  // Streaming thread. May wait while the captioner is busy, unless the source is live. Throw
  // std::runtime_error for data that can never be captioned.
  virtual GstFlowReturn take(GstBuffer* buffer) = 0;
  bool handle_event(EventHandle event);

  bool handle_latency(GstQuery* query) const;

  // Lets nobody wait in here any more and ends the worker.
  void shut();

 protected:
  // `latency` is what the branch adds at most to what upstream answers.
  CaptionBranch(Surroundings surroundings, GstClockTime latency);

  // By the constructor of the derived class.
  void set_worker(std::unique_ptr<CaptionWorkerControl> worker) { worker_ = std::move(worker); }

  // Streaming thread. `caps` intersect the template of the pad.
  virtual void set_caps(const GstCaps*) {}
  // The stream time of a timestamp; nullopt outside the segment. Throws std::runtime_error for a
  // buffer without one and where no usable segment came first.
  std::optional<StreamTime> stream_time(GstClockTime pts) const;
  // What take() returns: an error if the captioner or a text pad has failed.
  GstFlowReturn flow_after(bool taken) const;

  // Worker's thread: all was told, EOS is next.
  virtual void at_end();
  // Worker's thread: posts the event on the bus and pushes what is text.
  void tell(const CaptionEvent& event);
  // Worker's thread: the first error ends the branch with one ERROR message.
  void fail(std::exception_ptr error);

  GstElement* element() const { return around_.element; }
  CaptionCounters& counters() const { return *around_.counters; }

 private:
  bool pass_stream_start(EventHandle event);
  void set_waiting_start(std::shared_ptr<GstEvent> event);
  void push_waiting_start();
  bool pass_segment(GstEvent* event);
  bool pass_gap(GstEvent* event);
  bool pass_end(EventHandle event);
  void start_flush(const EventHandle& event);
  void stop_flush(const EventHandle& event);
  bool is_live() const;
  TextPad* output(const std::string& name) const;
  void push_text(const std::string& pad, const std::string& text, StreamTime start, StreamTime end);
  GstClockTime timestamp(StreamTime time) const;

  const Surroundings around_;
  const GstClockTime latency_;

  std::mutex waiting_mutex_;
  std::shared_ptr<GstEvent> waiting_start_;  // STREAM_START on its way through the worker

  GstSegment in_segment_;   // streaming thread
  GstSegment out_segment_;  // worker's thread
  std::atomic<bool> failed_ = false;
  std::unique_ptr<CaptionWorkerControl> worker_;  // last: its thread uses all of the above
};

}  // namespace captiond::gst
