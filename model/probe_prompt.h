#pragma once

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <variant>
#include <vector>

#include "model/audio_patches.h"
#include "model/engine.h"
#include "model/token.h"
#include "model/vision_patches.h"

namespace captiond {

// A prompt file that cannot be used. what() is one sentence that names the file and the part.
class ProbePromptError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A prompt of captiond-probe, cut at its media. Begin and end tokens of media stand in the ids.
struct ProbePrompt {
  using Part = std::variant<std::vector<TokenId>, AudioPatches, VisionPatches>;
  std::vector<Part> parts;
  std::vector<TokenId> tokens;  // one a position, soft tokens as the config names them
};

// Reads `{"parts": [{"ids": […]}, {"text": "…"}, {"audio": "a.wav"}, {"image": "b.png", "budget":
// 70}]}`. Paths are relative to the prompt file; without "budget" a picture gets the checkpoint's
// default. Throws ProbePromptError and MediaFileError.
ProbePrompt read_probe_prompt(const std::filesystem::path& file, const Engine& engine);

}  // namespace captiond
