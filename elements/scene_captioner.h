#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/caption_ports.h"
#include "elements/caption_prompt.h"
#include "model/engine.h"

namespace captiond {

// A picture as it comes from upstream: patches, or pixels, which the engine scales if the picture
// is described.
struct Picture {
  StreamTime time{};
  VisionPatches patches;
  std::shared_ptr<const ImageView> pixels;  // keeps what it views; null: the patches count
};

struct SceneOptions {
  StreamTime interval = std::chrono::seconds(5);  // 0: every picture
  std::string prompt = "Describe what can be seen in this picture in one short sentence.";
  std::size_t tokens_max = 64;       // of one description, >= 1
  std::size_t soft_tokens_max = 70;  // of a picture that comes as pixels: one of vision_budgets()
};

// Describes pictures, by stream time alone: the first one, and then the first one that comes at
// least `interval` after the last one described. One thread; waits for nothing but a picture that
// is scaled.
//
// A source that can wait is held back while a description is in flight: accepts() says so. A live
// one is not: a picture that is due meanwhile is skipped and counted, and the next one is taken.
//
// Errors are thrown by whichever call meets them, closures given to CaptionPorts::post included;
// the captioner is then unusable.
class SceneCaptioner {
 public:
  using Item = Picture;

  // Throws std::invalid_argument, one sentence, for options out of range or an engine that cannot
  // see, CheckpointError for a checkpoint without the chat format. `counters` must outlive the
  // captioner.
  SceneCaptioner(std::shared_ptr<Engine> engine, SceneOptions options, CaptionPorts ports,
                 CaptionCounters& counters);

  void set_live(bool live) { live_ = live; }

  void take(Picture picture);
  // Pictures that nobody took in time; they may not have been due, so nothing is told.
  void lost(const Picture&, std::size_t count) { counters_.scenes_skipped += count; }
  // The stream ends here; what is in flight is still told. The next picture may have any time and
  // is described.
  void finish();
  void reset();

  bool accepts() const { return live_ || !request_; }
  bool idle() const { return !request_; }

 private:
  struct Request {
    std::uint64_t number = 0;
    std::unique_ptr<Context> context;
    StreamTime time{};
  };

  bool is_due(StreamTime time) const;
  void ask(const Picture& picture);
  void answer(std::uint64_t number, const Generation& generation, std::exception_ptr error);
  void tell_silence(StreamTime until);

  const std::shared_ptr<Engine> engine_;
  const SceneOptions options_;
  const CaptionPorts ports_;
  CaptionCounters& counters_;
  const CaptionPrompt prompt_;
  const std::unique_ptr<Context> prompt_context_;  // what every description begins with
  bool live_ = false;
  std::unique_ptr<Request> request_;
  std::optional<StreamTime> described_;  // time of the last picture asked about
  std::optional<StreamTime> told_until_;
  std::uint64_t requests_ = 0;
  std::uint64_t scenes_ = 0;
};

}  // namespace captiond
