#include "model/probe_prompt.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "model/checkpoint_error.h"
#include "model/png_file.h"
#include "model/regular_file.h"
#include "model/vision_patcher.h"
#include "model/wav_file.h"

namespace captiond {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{64} << 20;

class PromptReader {
 public:
  PromptReader(const std::filesystem::path& file, const Engine& engine)
      : file_(file), engine_(engine), config_(engine.config()) {}

  ProbePrompt read(const nlohmann::json& document) {
    if (!document.is_object() || document.size() != 1 || !document.contains("parts") ||
        !document["parts"].is_array()) {
      refuse("must be an object with the one key \"parts\", an array");
    }
    for (const nlohmann::json& part : document["parts"]) {
      ++index_;
      read_part(part);
    }
    if (prompt_.tokens.empty()) refuse("has no positions; give it ids, text, audio or an image");
    return std::move(prompt_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    const std::string where = index_ == 0 ? "" : ": part " + std::to_string(index_);
    throw ProbePromptError(file_.string() + where + " " + what + ".");
  }

  void read_part(const nlohmann::json& part) {
    const bool image = part.is_object() && part.contains("image");
    if (!part.is_object() || part.size() != (image && part.contains("budget") ? 2U : 1U)) {
      refuse("must be an object with one of the keys ids, text, audio and image (with budget)");
    }
    if (part.contains("ids")) {
      add_ids(ids_of(part["ids"]));
    } else if (part.contains("text")) {
      add_ids(engine_.tokenizer().encode(string_of(part, "text")));
    } else if (part.contains("audio")) {
      add_audio(path_of(part, "audio"));
    } else if (image) {
      add_image(path_of(part, "image"), part);
    } else {
      refuse("must have one of the keys ids, text, audio and image, found \"" + part.begin().key() +
             "\"");
    }
  }

  std::string string_of(const nlohmann::json& part, const char* key) const {
    if (!part[key].is_string()) refuse("must have a string under \"" + std::string(key) + "\"");
    return part[key].get<std::string>();
  }
  std::filesystem::path path_of(const nlohmann::json& part, const char* key) const {
    return file_.parent_path() / string_of(part, key);
  }

  std::vector<TokenId> ids_of(const nlohmann::json& ids) const {
    if (!ids.is_array()) refuse("must have an array of token ids under \"ids\"");
    std::vector<TokenId> out;
    for (const nlohmann::json& id : ids) {
      if (!id.is_number_integer() || id < 0 || id >= config_.text.vocab_size) {
        refuse("must have token ids from 0 to " + std::to_string(config_.text.vocab_size - 1) +
               ", found " + id.dump());
      }
      out.push_back(id.get<TokenId>());
    }
    return out;
  }

  void add_ids(std::vector<TokenId> ids) {
    prompt_.tokens.insert(prompt_.tokens.end(), ids.begin(), ids.end());
    prompt_.parts.emplace_back(std::move(ids));
  }

  void add_audio(const std::filesystem::path& file) {
    if (!config_.audio) refuse("is audio, but the checkpoint cannot hear");
    AudioPatches patches{.samples = read_wav(file)};
    if (patches.samples.empty()) refuse("names " + file.string() + ", which has no samples");
    constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
    patches.samples.resize((patches.samples.size() + kSamples - 1) / kSamples * kSamples, 0.0F);
    add_ids({config_.boa_token_id});
    prompt_.tokens.insert(prompt_.tokens.end(), patches.count(), config_.audio_token_id);
    prompt_.parts.emplace_back(std::move(patches));
    add_ids({config_.eoa_token_id});
  }

  void add_image(const std::filesystem::path& file, const nlohmann::json& part) {
    if (!config_.vision) refuse("is an image, but the checkpoint cannot see");
    auto budget = static_cast<std::size_t>(config_.vision->default_soft_tokens);
    if (part.contains("budget")) {
      if (!part["budget"].is_number_unsigned()) refuse("must have a whole number under \"budget\"");
      budget = part["budget"].get<std::size_t>();
    }
    VisionPatches patches;
    try {
      patches = vision_patches(read_png(file).view(), budget);
    } catch (const std::invalid_argument& error) {
      refuse("cannot be used: " + std::string(error.what()));
    }
    add_ids({config_.boi_token_id});
    prompt_.tokens.insert(prompt_.tokens.end(), patches.count(), config_.image_token_id);
    prompt_.parts.emplace_back(std::move(patches));
    add_ids({config_.eoi_token_id});
  }

  const std::filesystem::path& file_;
  const Engine& engine_;
  const ModelConfig& config_;
  std::size_t index_ = 0;  // of the part, from 1
  ProbePrompt prompt_;
};

}  // namespace

ProbePrompt read_probe_prompt(const std::filesystem::path& file, const Engine& engine) {
  try {
    const std::string text = RegularFile(file).read(kFileBytesMax);
    return PromptReader(file, engine).read(nlohmann::json::parse(text));
  } catch (const CheckpointError& error) {
    throw ProbePromptError(error.what());
  } catch (const nlohmann::json::exception& error) {
    throw ProbePromptError(file.string() + ": must be JSON: " + error.what() + ".");
  }
}

}  // namespace captiond
