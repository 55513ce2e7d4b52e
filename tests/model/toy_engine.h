#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/engine_loop.h"

namespace captiond::test {

// A language model of a few lines: each position is a number, kept in the slots of both page
// groups, and the next token is a hash of all numbers that the layers would see there. Whatever
// goes wrong with pages, positions or rollback gives other tokens.
struct Toy {
  static constexpr std::int64_t kVocabulary = 64;
  static constexpr std::size_t kWindow = 8;
  static constexpr std::size_t kPositionsMax = 8192;
  static constexpr TokenId kStop = 1;
  static constexpr TokenId kNotANumber = 60;  // a row with this id has logits that are not finite
  static constexpr TokenId kFailure = 61;     // a step with this id fails
  static constexpr TokenId kAudio = 62;       // the soft token's id
  static constexpr TokenId kImage = 63;

  static std::uint64_t number_of(TokenId id) { return static_cast<std::uint64_t>(id) + 1; }
  // What stands at the last position decides with all before it.
  static std::vector<float> logits(const std::vector<std::uint64_t>& numbers);
  // Greedy continuation until kStop or `count` tokens.
  static std::vector<TokenId> continuation(const std::vector<TokenId>& ids, std::size_t count);
};

struct ToyOptions {
  std::size_t step_rows_max = 64;
  std::size_t pages = 1024;
  std::size_t ahead_rows_max = 0;  // rows of a decode step that is begun ahead; 0: none is
  std::function<void(const Step&)> before_step = {};  // on the engine's thread
  std::function<void(const std::string&)> device_lost = {};
};

// An engine with that model behind the real loop, scheduler and pages.
std::shared_ptr<Engine> open_toy(ToyOptions options = {});

// `count` ids that neither stop nor fail, from a seed.
std::vector<TokenId> toy_prompt(std::size_t count, std::uint32_t seed);

// A picture of `columns` patches in one row; an audio clip of `count` patches.
VisionPatches toy_picture(std::size_t columns);
AudioPatches toy_audio(std::size_t count);

GenerateOptions tokens(std::size_t count);

}  // namespace captiond::test
