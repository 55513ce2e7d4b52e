#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "model/engine.h"

namespace captiond::test {

// A prompt that make_parity_checkpoints.py has run through transformers, and what came out.
struct ParityCase {
  using Part = std::variant<std::vector<TokenId>, AudioPatches, VisionPatches>;

  std::string name;
  std::vector<Part> parts;
  std::vector<TokenId> ids;     // one a position, soft tokens included
  std::vector<TokenId> greedy;  // what follows
  double bfloat16_gap = 0.0;    // largest difference of eager and sdpa logits
  // [positions, vocab_size]
  std::vector<float> logits;
  std::vector<float> logits_full_causal;
  std::vector<float> logits_bfloat16;  // computed in bfloat16 with eager attention

  std::size_t positions() const { return ids.size(); }
};

// Folders of the checkpoints, each with its cases.
std::vector<std::filesystem::path> parity_checkpoints();
std::vector<ParityCase> parity_cases(const std::filesystem::path& checkpoint);
ParityCase parity_case(const std::filesystem::path& checkpoint, const std::string& name);

// Every part of the prompt in one append each.
void append_all(Context& context, const ParityCase& prompt);

// Keeps what a LogitsSink is given.
struct LogitsRecord {
  std::vector<float> values;  // [positions, vocab_size]
  std::vector<std::size_t> positions;

  LogitsSink sink();
};

// max |a - b|, and with it relative to max |b|. NaN if any is.
double largest_difference(const std::vector<float>& a, const std::vector<float>& b);
double relative_difference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace captiond::test
