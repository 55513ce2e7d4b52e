#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <variant>
#include <vector>

#include "model/audio_patches.h"
#include "model/generation.h"
#include "model/token.h"
#include "model/vision_patches.h"

namespace captiond {

class Sequence;

// What the owner of a context asked for, in the order asked.
struct AppendIds {
  std::vector<TokenId> ids;
  bool generated = false;  // the last token of a generation: not reported to the LogitsSink
};
struct AppendAudio {
  std::shared_ptr<const AudioPatches> patches;
};
struct AppendPicture {
  std::shared_ptr<const VisionPatches> picture;
};
struct TruncateTo {
  std::size_t length = 0;
};
struct ForkTo {
  std::shared_ptr<Sequence> child;
};
struct Generate {
  GenerateOptions options;
  GenerationCallback done;
};
struct Flush {
  std::promise<void> done;
};

struct Request {
  std::uint64_t number = 0;  // see ContextLedger
  std::variant<AppendIds, AppendAudio, AppendPicture, TruncateTo, ForkTo, Generate, Flush> what;
};

}  // namespace captiond
