#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elements/caption_counters.h"
#include "elements/caption_event.h"
#include "elements/caption_ports.h"
#include "elements/scene_frames.h"
#include "model/engine.h"

namespace captiond {

// A picture as it comes from upstream: patches, or pixels, which the engine scales if the picture
// is described.
struct Picture {
  StreamTime time{};
  VisionPatches patches;
  std::shared_ptr<const ImageView> pixels;  // keeps what it views; null: the patches count
};

// What is asked where SceneOptions::prompt is empty: about one frame, and about several.
inline constexpr std::string_view kPicturePrompt =
    "Describe what can be seen in this picture in one short sentence.";
inline constexpr std::string_view kVideoPrompt =
    "Describe what happens in this video in one short sentence.";

inline constexpr std::size_t kSceneFramesMax = 32;  // what the published processor takes at most
inline constexpr StreamTime kSceneSpanMax = std::chrono::seconds(60);  // model card: of a video

struct SceneOptions {
  StreamTime interval = std::chrono::seconds(5);  // 0: every picture
  std::string prompt;      // empty: kPicturePrompt, or with several frames kVideoPrompt
  std::size_t frames = 1;  // that a description is about: 1 to kSceneFramesMax
  // Between them, > 0; the published rate is one a second. frames * frame_distance is at most
  // kSceneSpanMax. No meaning with one frame.
  StreamTime frame_distance = std::chrono::seconds(1);
  std::size_t tokens_max = 64;       // of one description, >= 1
  std::size_t soft_tokens_max = 70;  // of a picture that comes as pixels: one of vision_budgets()
};

// Describes pictures, by stream time alone: the first one, and then the first one that comes at
// least `interval` after the last one described. One thread; waits for nothing but a picture that
// is scaled.
//
// With several frames, a description is about the video of the last seconds that ends with the due
// picture (SceneFrames says which frames). It has fewer where fewer are there: at the start, after
// finish() (end, gap, new segment), reset() and where time goes back or jumps by more than
// frames * frame_distance. A single one is then a video of one frame, not a picture: the question
// is about a video, and all answers of a stream stem from the same form of prompt.
//
// A frame is scaled when it is chosen, once, and its pixels are given back: at most frames + 1 of
// soft_tokens_max * 6,912 bytes are kept (16 MB of 32 frames at 70; the engine has its own copy of
// what it was asked), and no buffer of upstream's, whose pool may be small. Frames that no
// description can reach any more are not scaled.
//
// A source that can wait is held back while a description is in flight: accepts() says so. A live
// one is not: a picture that is due meanwhile is skipped and counted, and the next one is taken.
//
// Errors are thrown by whichever call meets them, closures given to CaptionPorts::post included;
// the captioner is then unusable.
class SceneCaptioner {
 public:
  using Item = Picture;

  // Throws std::invalid_argument, one sentence, for options out of range, for more frames of
  // soft_tokens_max than max_position_embeddings has room for, or an engine that cannot see,
  // CheckpointError for a checkpoint without the chat format. `counters` must outlive the
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
  // Whether a description that is still to come can reach back to a frame of this time.
  bool is_within_reach(StreamTime time) const;
  SceneFrame scaled(Picture picture) const;
  std::vector<std::vector<TokenId>> prompt_for(std::span<const SceneFrame> before,
                                               StreamTime due) const;
  void ask(const SceneFrame& due);
  void answer(std::uint64_t number, const Generation& generation, std::exception_ptr error);
  void tell_silence(StreamTime until);

  const std::shared_ptr<Engine> engine_;
  const SceneOptions options_;
  const CaptionPorts ports_;
  CaptionCounters& counters_;
  const std::unique_ptr<Context> prompt_context_;  // what every description begins with
  SceneFrames frames_;
  bool live_ = false;
  std::unique_ptr<Request> request_;
  std::optional<StreamTime> described_;  // time of the last picture asked about
  std::optional<StreamTime> told_until_;
  std::uint64_t requests_ = 0;
  std::uint64_t scenes_ = 0;
};

}  // namespace captiond
