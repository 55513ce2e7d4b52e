#pragma once

#include <memory>

#include "elements/caption_branch.h"
#include "elements/speech_captioner.h"

namespace captiond::gst {

// The `audio` pad: patches of speech to `transcript` and `translation_XX`. The source may run 30 s
// ahead of the captioner; then it waits or, if it is live, the oldest audio is given up.
class SpeechBranch final : public CaptionBranch {
 public:
  // `options.translations` are the languages of the outputs. Throws what SpeechCaptioner throws.
  SpeechBranch(Surroundings surroundings, const std::shared_ptr<Engine>& engine,
               const SpeechOptions& options);

  GstFlowReturn take(GstBuffer* buffer) override;

 private:
  void at_end() override;
  void hear_of(const CaptionEvent& event);

  const VoiceActivityMode voice_activity_;
  SpeechCaptioner* captioner_ = nullptr;              // owned by the worker, used on its thread
  CaptionWorker<SpeechCaptioner>* worker_ = nullptr;  // owned by the base
  bool source_told_ = false;                          // worker's thread
};

}  // namespace captiond::gst
