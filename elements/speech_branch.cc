#include "elements/speech_branch.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include <gst/audio/audio.h>

namespace captiond::gst {
namespace {

constexpr std::size_t kCapacity = patches_covering(std::chrono::seconds(30));

constexpr std::size_t kPatchBytes = AudioPatches::kSamplesPerPatch * sizeof(float);

GstClockTime latency_of(const SegmenterOptions& options) {
  return static_cast<GstClockTime>((options.segment_max + options.endpoint_silence).count());
}

}  // namespace

SpeechBranch::SpeechBranch(Surroundings surroundings, const std::shared_ptr<Engine>& engine,
                           const SpeechOptions& options)
    : CaptionBranch(std::move(surroundings), latency_of(options.segmenter)),
      voice_activity_(options.voice_activity) {
  const auto make = [&](CaptionWorker<SpeechCaptioner>::Post post) {
    CaptionPorts ports{std::move(post), [this](const CaptionEvent& event) { hear_of(event); }};
    auto captioner =
        std::make_unique<SpeechCaptioner>(engine, options, std::move(ports), counters());
    captioner_ = captioner.get();
    return captioner;
  };
  auto worker = std::make_unique<CaptionWorker<SpeechCaptioner>>(
      kCapacity, make, [this](std::exception_ptr error) { fail(std::move(error)); });
  worker_ = worker.get();
  set_worker(std::move(worker));
}

GstFlowReturn SpeechBranch::take(GstBuffer* buffer) {
  const MappedBuffer mapped(buffer, GST_MAP_READ);
  if (mapped.bytes().size() % kPatchBytes != 0) {
    throw std::runtime_error("A buffer of audio patches has " +
                             std::to_string(mapped.bytes().size()) +
                             " bytes, it must have a multiple of " + std::to_string(kPatchBytes) +
                             ": put audiopatcher before gemmacaptioner.");
  }
  const auto samples = mapped.as<const float>();
  const GstAudioLevelMeta* level = gst_buffer_get_audio_level_meta(buffer);
  GstClockTime pts = GST_BUFFER_PTS(buffer);
  for (std::size_t first = 0; first < samples.size(); first += AudioPatches::kSamplesPerPatch) {
    const auto time = stream_time(pts);
    if (GST_CLOCK_TIME_IS_VALID(pts)) pts += static_cast<GstClockTime>(kPatchDuration.count());
    if (!time) continue;  // outside the segment: not to be played, so not to be heard
    AudioPatch patch;
    patch.start = *time;
    if (first == 0 && level != nullptr) patch.voice_change = level->voice_activity != FALSE;
    std::copy_n(samples.begin() + static_cast<std::ptrdiff_t>(first), patch.samples.size(),
                patch.samples.begin());
    if (worker_->push(patch) != CaptionWorker<SpeechCaptioner>::Pushed::kTaken) {
      return flow_after(false);
    }
  }
  return flow_after(true);
}

// Worker's thread. Says once by what speech is found where the user left that open.
void SpeechBranch::hear_of(const CaptionEvent& event) {
  if (std::holds_alternative<TranscriptEvent>(event) && !std::exchange(source_told_, true) &&
      voice_activity_ == VoiceActivityMode::kAuto &&
      !captioner_->voice_activity().upstream_speaks()) {
    GST_ELEMENT_INFO(element(), STREAM, FAILED,
                     ("No voice activity comes from upstream, so speech is told from silence by "
                      "loudness."),
                     ("In noise, put webrtcdsp voice-detection=true before audiopatcher; "
                      "voice-activity=energy says that loudness is meant."));
  }
  tell(event);
}

void SpeechBranch::at_end() {
  if (voice_activity_ == VoiceActivityMode::kMeta &&
      !captioner_->voice_activity().upstream_speaks()) {
    GST_ELEMENT_WARNING(
        element(), STREAM, FAILED,
        ("No voice activity ever came from upstream, so nothing was taken for speech."),
        ("voice-activity=meta wants webrtcdsp voice-detection=true before audiopatcher; "
         "voice-activity=energy goes by loudness instead."));
  }
  CaptionBranch::at_end();
}

}  // namespace captiond::gst
