#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "model/audio_patches.h"
#include "model/checkpoint.h"
#include "model/generation.h"
#include "model/model_config.h"
#include "model/tokenizer.h"
#include "model/vision_patcher.h"

namespace captiond {

enum class Device { kCpu, kCuda };

// Where the patches of one picture see each other both ways: on sliding layers only (Google's JAX
// reference) or on all layers (what transformers' forward computes). Reference model.md 2.5.
enum class VisionMask { kFullCausal, kFullBidirectional };

// How a GPU keeps the text model's matrices: as they are, or quantised at load by row (fp8 e4m3,
// int8) or by groups of 32 values of a row (int4). Activations stay bfloat16; fp8 products of many
// rows round their input to e4m3 as well.
enum class WeightFormat { kBf16, kFp8, kInt8, kInt4 };

// What a GPU keeps keys and values in: as they are, or as fp8 (e4m3), half the bytes.
enum class KvFormat { kBf16, kFp8 };

struct EngineOptions {
  std::filesystem::path model;  // Hugging Face folder
  Device device = Device::kCpu;
  Dtype dtype = Dtype::kFloat32;               // of weights, activations and KV
  WeightFormat weights = WeightFormat::kBf16;  // others: kCuda only
  KvFormat kv = KvFormat::kBf16;               // others: kCuda only
  VisionMask vision_mask = VisionMask::kFullBidirectional;
  std::size_t kv_positions = 65536;  // KV budget shared by all contexts, allocated at start
  std::size_t step_rows_max = 512;   // rows of one forward step; a whole picture may exceed it
  // The same of a step in which nothing decodes: long prompts are read faster in large steps, and
  // who begins to decode meanwhile waits for one. At least step_rows_max; 0: the same.
  std::size_t prompt_rows_max = 0;
  // The largest picture that Engine::patches() takes on kCuda, width times height: what it needs is
  // allocated at start. The CPU has no such limit.
  std::size_t picture_pixels_max = std::size_t{7680} * 4320;
  int threads = 0;  // CPU threads of one step; 0: as many as there are cores
  // Told during open(), in one sentence, what the memory of a GPU is used for. May be empty.
  std::function<void(const std::string& sentence)> report = {};
  // Told once, on the engine's thread, when the device has failed for good (DeviceLost): a program
  // that lives on the engine ends itself here. May be empty.
  std::function<void(const std::string& sentence)> device_lost = {};
};

// A request that can never be served as asked: longer than max_position_embeddings, a modality
// that the checkpoint lacks, a bad id. what() is one sentence with the numbers.
class RequestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// No KV pages are left for this context. Nothing else is disturbed.
class KvExhausted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The device failed and stays failed until the process ends: every context gets this error. See
// EngineOptions::device_lost.
class DeviceLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Called on the engine's thread for every appended position, in order; must only store.
// `logits` is [vocab_size] float32, valid during the call.
using LogitsSink = std::function<void(std::size_t position, std::span<const float> logits)>;

// One growing sequence and its KV pages. One owner; calls return at once and the engine's thread
// does the work in order, each position computed once (the last one again where a generation
// follows a truncate, another generation, or audio or a picture given earlier). Destroying a
// Context cancels what it has not done yet (callbacks get StopReason::kCancelled), except what a
// fork that still exists was made of.
//
// An error (no pages, logits that are not finite, a failed step) makes the context unusable: its
// pages are free at once, what is asked of it later is not done, and every generate(), flush() and
// fork gets the error.
class Context {
 public:
  virtual ~Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Throw RequestError: an id outside of the vocabulary or of a soft token, a modality that the
  // checkpoint lacks, an empty picture or one beyond mm_posemb_size or VisionPatches::kPatchesMax,
  // more positions than max_position_embeddings. A picture is one block: it is never split over
  // steps.
  virtual void append(std::span<const TokenId> ids) = 0;
  virtual void append(const AudioPatches& patches) = 0;
  virtual void append(const VisionPatches& patches) = 0;

  // A second context that starts as this one is now; pages are shared, copied on write.
  virtual std::unique_ptr<Context> fork() const = 0;

  // Back to an earlier length. Throws RequestError if `length` exceeds length(), lies inside of a
  // picture, or is further back than sliding layers remember: once a context has been longer than
  // its window and kTruncatePositions (context_ledger.h), only that many positions below the
  // greatest length, or 0. Asked for behind a running generation, it is checked again when its turn
  // comes, and the error goes to who waits.
  virtual void truncate(std::size_t length) = 0;

  // Positions appended so far, generated tokens included once their generation is done.
  virtual std::size_t length() const = 0;

  // Continues the sequence. Afterwards the context holds the generated tokens without the stop
  // token. Calls made before `done` has run are queued behind it. An error (KvExhausted, a failed
  // step) goes to `done` and leaves the context unusable. Throws RequestError for options that
  // cannot be served: max_tokens of 0 or beyond max_position_embeddings, ids outside of the
  // vocabulary, sampling out of range.
  virtual void generate(GenerateOptions options, GenerationCallback done) = 0;
  std::future<Generation> generate(GenerateOptions options);

  // Resolves when all that was asked for so far is done; carries the error of a failed context.
  virtual std::future<void> flush() = 0;

 protected:
  Context() = default;
};

// Weights, shared by every context, and the one thread that computes. Safe from any thread.
// Abstract so that elements can be tested with a scripted engine.
class Engine {
 public:
  // Loads and checks the checkpoint. Throws CheckpointError, or std::runtime_error for a device
  // that is not there: one full sentence.
  static std::shared_ptr<Engine> open(const EngineOptions& options);

  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  virtual const ModelConfig& config() const = 0;
  virtual const GenerationConfig& generation_config() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual std::unique_ptr<Context> new_context(LogitsSink logits = {}) = 0;

  // The picture as Context::append() takes it, scaled on the engine's device: the same bytes as
  // vision_patches(), which is also how it is done where an engine has nothing faster. Blocks for
  // milliseconds: not for a streaming thread. Throws std::invalid_argument as vision_patches()
  // does, RequestError for a picture beyond EngineOptions::picture_pixels_max.
  virtual VisionPatches patches(const ImageView& picture, std::size_t soft_tokens_max) {
    return vision_patches(picture, soft_tokens_max);
  }

  struct Statistics {
    std::uint64_t steps = 0;
    std::uint64_t rows = 0;  // positions computed
    std::uint64_t tokens_generated = 0;
    std::uint64_t draft_accepted = 0;
    double busy_s = 0.0;     // of the engine's thread, while there was work
    double forward_s = 0.0;  // of these in the forward pass, until its results were there
    double device_s = 0.0;   // of these while a GPU computed; 0 on the CPU
    std::size_t kv_pages_used = 0;
    std::size_t kv_pages_total = 0;
  };
  virtual Statistics statistics() const = 0;

 protected:
  Engine() = default;
};

}  // namespace captiond
