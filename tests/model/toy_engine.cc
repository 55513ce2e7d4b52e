#include "tests/model/toy_engine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>

#include "model/context_handle.h"
#include "model/decode_ahead.h"
#include "model/sampler.h"

namespace captiond::test {
namespace {

constexpr std::uint64_t kPoison = 0xDEADDEADDEADDEADULL;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t number) {
  hash ^= number + 0x9E3779B97F4A7C15ULL + (hash << 6) + (hash >> 2);
  hash *= 0xBF58476D1CE4E5B9ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t hash_of(std::span<const std::uint64_t> full, std::span<const std::uint64_t> sliding) {
  std::uint64_t hash = 1;
  for (const std::uint64_t number : full) hash = mixed(hash, number);
  for (const std::uint64_t number : sliding) hash = mixed(hash, number);
  return hash;
}

std::vector<float> logits_of(std::uint64_t hash) {
  std::vector<float> logits;
  for (std::uint64_t id = 0; id < static_cast<std::uint64_t>(Toy::kVocabulary); ++id) {
    const auto value = static_cast<float>(mixed(hash, id) % 100000) / 10000.0F;
    // The ids that fail are never chosen, the one that stops now and then.
    logits.push_back(id >= static_cast<std::uint64_t>(Toy::kNotANumber) ? -10.0F : value);
  }
  return logits;
}

// A step that is begun ahead is computed at once and its results are kept: what a row behind it
// could disturb, it does disturb.
class ToyForward final : public Forward, public DecodeAhead {
 public:
  explicit ToyForward(const ToyOptions& options)
      : before_step_(options.before_step), ahead_rows_max_(options.ahead_rows_max) {
    for (auto& slots : slots_) slots.assign(options.pages * kPagePositions, kPoison);
  }

  void run(const Step& step, const RowSink& sink) override {
    if (before_step_) before_step_(step);
    for (const PageCopy& copy : step.copies) copy_page(copy);
    for (const StepSlice& slice : step.slices) write(slice);
    std::size_t index = 0;
    for (const HeadRow& head : step.heads)
      hand_over(index++, hash_in(head.hidden), head.output, head.draw, sink);
    std::size_t row = 0;
    auto output = step.outputs.begin();
    for (const StepSlice& slice : step.slices) {
      for (std::size_t i = 0; i < slice.count; ++i, ++row) {
        if (output == step.outputs.end() || output->row != row) continue;
        const std::uint64_t hash = read(slice, slice.first_position + i);
        hand_over(index++, hash, output->output, output->draw, sink);
        ++output;
      }
    }
    if (output != step.outputs.end()) throw std::logic_error("outputs are ascending by row");
  }

  DecodeAhead* decode_ahead() override { return ahead_rows_max_ > 0 ? this : nullptr; }
  std::size_t rows_max() const override { return ahead_rows_max_; }
  void start(const Step& step) override {
    if (begun_.size() > 1) throw std::logic_error("at most one step is begun and not finished");
    std::vector<Choice> choices;
    run(step, [&](std::size_t, const RowResult& result) {
      choices.push_back({.token = result.choice, .finite = result.finite});
    });
    begun_.push_back(choices);
    last_choices_ = std::move(choices);
  }
  void finish(const RowSink& sink) override {
    const std::vector<Choice> choices = std::move(begun_.front());
    begun_.pop_front();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      sink(i,
           {.hidden = {}, .finite = choices[i].finite, .choice = choices[i].token, .logits = {}});
    }
  }

 private:
  struct Choice {
    TokenId token = 0;
    bool finite = true;
  };

  void copy_page(const PageCopy& copy) {
    auto& slots = slots_[static_cast<std::size_t>(copy.group)];
    const auto at = [&](PageId page) {
      return slots.begin() + page * static_cast<std::ptrdiff_t>(kPagePositions);
    };
    std::copy(at(copy.from), at(copy.from) + kPagePositions, at(copy.to));
  }

  std::uint64_t& slot(const StepSlice& slice, std::size_t group, std::size_t position) {
    const PageId page = slice.pages[group][position / kPagePositions];
    if (page == kNoPage) throw std::logic_error("a page that is needed was released");
    return slots_[group]
                 [static_cast<std::size_t>(page) * kPagePositions + position % kPagePositions];
  }

  void write(const StepSlice& slice) {
    for (std::size_t i = 0; i < slice.count; ++i) {
      std::uint64_t number = 0;
      if (const auto* ids = std::get_if<IdRows>(&slice.rows)) {
        if (ids->ids[i] == Toy::kFailure) throw std::runtime_error("The toy step failed.");
        number = Toy::number_of(ids->ids[i]);
      } else if (const auto* audio = std::get_if<AudioRows>(&slice.rows)) {
        number =
            1000 + std::bit_cast<std::uint32_t>(audio->samples[i * AudioPatches::kSamplesPerPatch]);
      } else if (const auto* chosen = std::get_if<ChosenRow>(&slice.rows)) {
        number = Toy::number_of(last_choices_.at(chosen->output).token);
      } else {
        const auto& picture = std::get<PictureRows>(slice.rows);
        number = 2000 + picture.pixels[i * VisionPatches::kBytesPerPatch] + picture.first_patch + i;
      }
      for (std::size_t group = 0; group < kKvGroupCount; ++group) {
        slot(slice, group, slice.first_position + i) = number;
      }
    }
  }

  std::uint64_t read(const StepSlice& slice, std::size_t position) {
    std::vector<std::uint64_t> full;
    std::vector<std::uint64_t> sliding;
    for (std::size_t p = 0; p <= position; ++p) {
      full.push_back(slot(slice, 1, p));
      if (p + Toy::kWindow > position) sliding.push_back(slot(slice, 0, p));
    }
    if (full.back() == Toy::number_of(Toy::kNotANumber)) return kPoison;
    return hash_of(full, sliding);
  }

  static std::uint64_t hash_in(std::span<const float> hidden) {
    std::uint64_t hash = 0;
    for (const float part : hidden) hash = (hash << 16) | static_cast<std::uint64_t>(part);
    return hash;
  }

  // Draws itself where steps are begun ahead, as a GPU does.
  void hand_over(std::size_t index, std::uint64_t hash, RowOutput output, const kernels::Draw& draw,
                 const RowSink& sink) {
    std::vector<float> hidden;
    for (int shift = 48; shift >= 0; shift -= 16) {
      hidden.push_back(static_cast<float>((hash >> shift) & 0xFFFF));
    }
    std::vector<float> logits = logits_of(hash);
    if (hash == kPoison) logits[5] = std::numeric_limits<float>::quiet_NaN();
    const GreedyPick pick = pick_greedy(logits, {});
    RowResult result{.hidden = hidden, .finite = pick.finite, .choice = pick.token, .logits = {}};
    const bool draws = output == RowOutput::kSampled && ahead_rows_max_ > 0;
    if (draws && pick.finite) result.choice = sampler_.pick(logits, draw);
    if (output > RowOutput::kGreedy && !draws) result.logits = logits;
    sink(index, result);
  }

  const std::function<void(const Step&)> before_step_;
  const std::size_t ahead_rows_max_;
  Sampler sampler_{{}};
  std::deque<std::vector<Choice>> begun_;  // results of steps begun and not finished
  std::vector<Choice> last_choices_;       // of the step begun last
  std::array<std::vector<std::uint64_t>, kKvGroupCount> slots_;
};

class ToyEngine final : public Engine, public std::enable_shared_from_this<ToyEngine> {
 public:
  explicit ToyEngine(const ToyOptions& options) {
    config_.text.vocab_size = Toy::kVocabulary;
    config_.text.sliding_window = static_cast<std::int64_t>(Toy::kWindow);
    config_.text.max_position_embeddings = static_cast<std::int64_t>(Toy::kPositionsMax);
    config_.audio.emplace();
    config_.vision.emplace();
    config_.vision->mm_posemb_size = 40;
    config_.audio_token_id = Toy::kAudio;
    config_.image_token_id = Toy::kImage;
    const EngineLoop::Setting setting{.step_rows_max = options.step_rows_max,
                                      .prompt_rows_max = options.step_rows_max,
                                      .pages = options.pages,
                                      .rules = {.sliding_window = Toy::kWindow,
                                                .positions_max = Toy::kPositionsMax,
                                                .stop = {Toy::kStop},
                                                .suppressed = {}},
                                      .device_lost = options.device_lost};
    loop_ = std::make_shared<EngineLoop>(setting, std::make_unique<ToyForward>(options));
    EngineLoop::start(loop_);
  }
  ~ToyEngine() override { loop_->stop(); }

  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  const Tokenizer& tokenizer() const override {
    throw std::logic_error("the toy engine has no tokenizer");
  }
  std::unique_ptr<Context> new_context(LogitsSink logits) override {
    return std::make_unique<ContextHandle>(shared_from_this(), loop_,
                                           loop_->new_sequence(std::move(logits)));
  }
  Statistics statistics() const override { return loop_->statistics(); }

 private:
  ModelConfig config_;
  GenerationConfig generation_config_;
  std::shared_ptr<EngineLoop> loop_;
};

}  // namespace

std::vector<float> Toy::logits(const std::vector<std::uint64_t>& numbers) {
  const std::size_t seen = std::min(numbers.size(), kWindow);
  return logits_of(hash_of(numbers, std::span(numbers).last(seen)));
}

std::vector<TokenId> Toy::continuation(const std::vector<TokenId>& ids, std::size_t count) {
  std::vector<std::uint64_t> numbers;
  for (const TokenId id : ids) numbers.push_back(number_of(id));
  std::vector<TokenId> out;
  while (out.size() < count) {
    const TokenId next = pick_greedy(logits(numbers), {}).token;
    if (next == kStop) break;
    out.push_back(next);
    numbers.push_back(number_of(next));
  }
  return out;
}

std::shared_ptr<Engine> open_toy(ToyOptions options) {
  return std::make_shared<ToyEngine>(options);
}

std::vector<TokenId> toy_prompt(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids;
  while (ids.size() < count) {
    ids.push_back(static_cast<TokenId>(2 + random() % (Toy::kNotANumber - 2)));
  }
  return ids;
}

VisionPatches toy_picture(std::size_t columns) {
  VisionPatches picture{.rows = 1, .columns = columns, .pixels = {}, .video_frame = false};
  for (std::size_t i = 0; i < columns * VisionPatches::kBytesPerPatch; ++i) {
    picture.pixels.push_back(static_cast<std::uint8_t>(i / VisionPatches::kBytesPerPatch * 7));
  }
  return picture;
}

AudioPatches toy_audio(std::size_t count) {
  AudioPatches patches;
  for (std::size_t i = 0; i < count * AudioPatches::kSamplesPerPatch; ++i) {
    patches.samples.push_back(static_cast<float>(i / AudioPatches::kSamplesPerPatch) * 0.01F);
  }
  return patches;
}

GenerateOptions tokens(std::size_t count) {
  GenerateOptions options;
  options.max_tokens = count;
  return options;
}

}  // namespace captiond::test
