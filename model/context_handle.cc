#include "model/context_handle.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace captiond {
namespace {

// `what` has `found` and must have `expected`.
[[noreturn]] void refuse(const std::string& sentence) { throw RequestError(sentence); }

void check_sampling(const Sampling& sampling) {
  if (sampling.greedy) return;
  if (!(sampling.temperature > 0.0) || !std::isfinite(sampling.temperature)) {
    refuse("The sampling temperature must be a number above 0, not " +
           std::to_string(sampling.temperature) + ".");
  }
  if (sampling.top_k < 0) {
    refuse("The sampling top_k must be 0 (off) or more, not " + std::to_string(sampling.top_k) +
           ".");
  }
  if (!(sampling.top_p > 0.0 && sampling.top_p <= 1.0)) {
    refuse("The sampling top_p must be above 0 and at most 1, not " +
           std::to_string(sampling.top_p) + ".");
  }
}

}  // namespace

ContextHandle::ContextHandle(std::shared_ptr<const Engine> engine, std::shared_ptr<EngineLoop> loop,
                             std::shared_ptr<Sequence> sequence)
    : engine_(std::move(engine)), loop_(std::move(loop)), sequence_(std::move(sequence)) {}

ContextHandle::~ContextHandle() { loop_->abandon(std::move(sequence_)); }

void ContextHandle::check_room(std::size_t length, std::size_t more) const {
  const auto most = static_cast<std::size_t>(engine_->config().text.max_position_embeddings);
  if (more <= most && length <= most - more) return;
  refuse("A context of " + std::to_string(length) + " positions has no room for " +
         std::to_string(more) + " more: the checkpoint's max_position_embeddings is " +
         std::to_string(most) + ".");
}

void ContextHandle::check_id(TokenId id, const char* what) const {
  const std::int64_t vocabulary = engine_->config().text.vocab_size;
  if (id >= 0 && id < vocabulary) return;
  refuse(std::string("The ") + what + " id " + std::to_string(id) +
         " is outside the checkpoint's vocabulary of " + std::to_string(vocabulary) + " ids.");
}

void ContextHandle::append(std::span<const TokenId> ids) {
  if (ids.empty()) return;
  const ModelConfig& config = engine_->config();
  for (const TokenId id : ids) {
    check_id(id, "token");
    if (id == config.image_token_id || id == config.audio_token_id || id == config.video_token_id) {
      refuse("The token id " + std::to_string(id) +
             " stands for a soft token of a picture or of audio; append the patches instead.");
    }
  }
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    check_room(ledger.length(), ids.size());
    ledger.append(ids.size());
    return Request{.number = ledger.next_request(),
                   .what = AppendIds{.ids = std::vector<TokenId>(ids.begin(), ids.end())}};
  });
}

void ContextHandle::append(const AudioPatches& patches) {
  constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
  if (!engine_->config().audio) refuse("The checkpoint has no audio_config: it cannot hear.");
  if (patches.samples.size() % kSamples != 0) {
    refuse("Audio comes in patches of " + std::to_string(kSamples) + " samples; " +
           std::to_string(patches.samples.size()) + " samples are not a multiple.");
  }
  if (patches.count() == 0) return;
  for (std::size_t i = 0; i < patches.samples.size(); ++i) {
    if (!std::isfinite(patches.samples[i])) {
      refuse("The audio sample " + std::to_string(i) + " is not a finite number.");
    }
  }
  auto copy = std::make_shared<const AudioPatches>(patches);
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    check_room(ledger.length(), copy->count());
    ledger.append(copy->count());
    return Request{.number = ledger.next_request(), .what = AppendAudio{.patches = copy}};
  });
}

void ContextHandle::append(const VisionPatches& patches) {
  const auto& vision = engine_->config().vision;
  if (!vision) refuse("The checkpoint has no vision_config: it cannot see.");
  const std::string grid =
      std::to_string(patches.columns) + " columns and " + std::to_string(patches.rows) + " rows";
  if (patches.count() == 0) refuse("A picture of " + grid + " of patches is empty.");
  const auto table = static_cast<std::size_t>(vision->mm_posemb_size);
  if (patches.columns > table || patches.rows > table) {
    refuse("A picture of " + grid + " of patches does not fit the checkpoint's position table of " +
           std::to_string(table) + " entries (mm_posemb_size).");
  }
  if (patches.count() > VisionPatches::kPatchesMax) {
    refuse("A picture of " + grid + " has " + std::to_string(patches.count()) +
           " patches, but a picture is computed in one piece of at most " +
           std::to_string(VisionPatches::kPatchesMax) + "; scale it down.");
  }
  const std::size_t bytes = patches.count() * VisionPatches::kBytesPerPatch;
  if (patches.pixels.size() != bytes) {
    refuse("A picture of " + grid + " of patches has " + std::to_string(bytes) + " bytes, not " +
           std::to_string(patches.pixels.size()) + ".");
  }
  auto copy = std::make_shared<const VisionPatches>(patches);
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    check_room(ledger.length(), copy->count());
    const std::uint64_t number = ledger.next_request();
    ledger.append_picture(copy->count(), number);
    return Request{.number = number, .what = AppendPicture{.picture = copy}};
  });
}

std::unique_ptr<Context> ContextHandle::fork() const {
  std::shared_ptr<Sequence> child = loop_->new_sequence({});
  child->wait_for_parent();
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    const std::uint64_t number = ledger.next_request();
    child->ledger = ledger;
    return Request{.number = number, .what = ForkTo{.child = child}};
  });
  return std::make_unique<ContextHandle>(engine_, loop_, std::move(child));
}

void ContextHandle::truncate(std::size_t length) {
  const auto window = static_cast<std::size_t>(engine_->config().text.sliding_window);
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    if (length > ledger.length()) {
      refuse("A context of " + std::to_string(ledger.length()) +
             " positions cannot be truncated to " + std::to_string(length) + ".");
    }
    if (const auto picture = ledger.picture_across(length)) {
      refuse("A context cannot be truncated to " + std::to_string(length) +
             ", inside the picture at positions " + std::to_string(picture->first) + " to " +
             std::to_string(picture->end - 1) + ".");
    }
    const std::size_t limit = ledger.truncate_limit(window);
    if (length > 0 && length < limit) {
      refuse("The context cannot be truncated to " + std::to_string(length) +
             ": its sliding layers still have what lengths from " + std::to_string(limit) +
             " on need; 0 starts it anew.");
    }
    const std::uint64_t number = ledger.next_request();
    ledger.truncate(length, number);
    return Request{.number = number, .what = TruncateTo{.length = length}};
  });
}

std::size_t ContextHandle::length() const { return loop_->length(*sequence_); }

void ContextHandle::generate(GenerateOptions options, GenerationCallback done) {
  if (options.max_tokens == 0) refuse("A generation of 0 tokens was asked for.");
  check_sampling(options.sampling);
  for (const TokenId id : options.stop) check_id(id, "stop");
  for (const TokenId id : options.draft) check_id(id, "draft");
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    check_room(ledger.length(), options.max_tokens);
    return Request{.number = ledger.next_request(),
                   .what = Generate{.options = std::move(options), .done = std::move(done)}};
  });
}

std::future<void> ContextHandle::flush() {
  Flush request;
  std::future<void> future = request.done.get_future();
  loop_->post(sequence_, [&](ContextLedger& ledger) {
    return Request{.number = ledger.next_request(), .what = std::move(request)};
  });
  return future;
}

}  // namespace captiond
