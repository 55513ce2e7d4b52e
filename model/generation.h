#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

#include "model/token.h"

namespace captiond {

// How the next token is chosen. Greedy is the default for captions; the seed makes sampling
// repeatable: same context, same options, same tokens.
struct Sampling {
  bool greedy = true;
  double temperature = 1.0;  // > 0
  std::int64_t top_k = 0;    // 0: off
  double top_p = 1.0;        // (0, 1]; 1: off
  std::uint64_t seed = 0;
};

struct GenerateOptions {
  std::size_t max_tokens = 256;
  Sampling sampling;
  std::vector<TokenId> stop;   // besides the checkpoint's eos ids
  std::vector<TokenId> draft;  // a guess of the whole answer, verified in one pass
  // Requests are served in order of deadline; the default means "no hurry".
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  // Called for each accepted token on the engine's thread; must only post. May be empty.
  std::function<void(TokenId)> on_token;
};

enum class StopReason { kStopToken, kMaxTokens, kCancelled };

struct Generation {
  std::vector<TokenId> tokens;  // without the stop token
  StopReason stop = StopReason::kStopToken;
  std::size_t draft_accepted = 0;  // how many of `draft` were taken
};

// Called once, on the engine's thread; must only post. `error` is null on success.
using GenerationCallback = std::function<void(Generation, std::exception_ptr error)>;

}  // namespace captiond
