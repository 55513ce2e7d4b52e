#include "tests/support/scripted_engine.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "model/chat_markers.h"
#include "model/check.h"
#include "tests/support/word_tokenizer.h"

namespace captiond {
namespace {

constexpr TokenId kAudioRow = -1;
constexpr TokenId kPictureRow = -2;
constexpr TokenId kFrameRow = -3;  // a picture's that is a frame of a video

// What a context holds; shared with the questions about it that are still open.
struct Content {
  std::vector<TokenId> rows;
  bool cancelled = false;
};

struct Job {
  std::shared_ptr<Content> content;
  GenerateOptions options;
  GenerationCallback done;
};

class EngineOfScripts final : public ScriptedEngine {
 public:
  EngineOfScripts(std::string_view words, Script script, Answers answers)
      : tokenizer_(make_word_tokenizer(words)), script_(std::move(script)), answers_(answers) {
    config_.text.vocab_size = static_cast<std::int64_t>(tokenizer_->size());
    config_.text.max_position_embeddings = 32768;
    config_.audio.emplace();
    config_.vision.emplace();
    config_.boa_token_id = *tokenizer_->find(chat_markers::kAudioBegin);
    config_.audio_token_id = *tokenizer_->find(chat_markers::kAudio);
    config_.eoa_token_id = *tokenizer_->find(chat_markers::kAudioEnd);
    config_.boi_token_id = *tokenizer_->find(chat_markers::kImageBegin);
    config_.image_token_id = *tokenizer_->find(chat_markers::kImage);
    config_.eoi_token_id = *tokenizer_->find(chat_markers::kImageEnd);
    config_.video_token_id = *tokenizer_->find(chat_markers::kVideo);
    if (answers_ == Answers::kOnAThread) thread_ = std::thread([this] { serve(); });
  }
  ~EngineOfScripts() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  std::unique_ptr<Context> new_context(LogitsSink logits) override;
  Statistics statistics() const override { return {}; }

  void remove_audio() override { config_.audio.reset(); }
  void remove_vision() override { config_.vision.reset(); }

  bool answer_next() override {
    std::optional<Job> job = next_job();
    if (job) answer(*job);
    return job.has_value();
  }
  bool cancel_next() override {
    std::optional<Job> job = next_job();
    if (job) cancel(*job);
    return job.has_value();
  }
  std::size_t open_questions() const override {
    std::lock_guard lock(mutex_);
    return jobs_.size();
  }
  std::vector<ScriptedQuestion> questions() const override {
    std::lock_guard lock(mutex_);
    return questions_;
  }
  std::size_t contexts_alive() const override {
    std::lock_guard lock(mutex_);
    return contexts_alive_;
  }
  std::size_t audio_rows() const override {
    std::lock_guard lock(mutex_);
    return audio_rows_;
  }

  void count_context(int change) {
    std::lock_guard lock(mutex_);
    contexts_alive_ += static_cast<std::size_t>(change);
  }
  void append(Content& content, std::size_t count, TokenId row) {
    std::lock_guard lock(mutex_);
    content.rows.insert(content.rows.end(), count, row);
    if (row == kAudioRow) audio_rows_ += count;
  }
  void append(Content& content, std::span<const TokenId> ids) {
    std::lock_guard lock(mutex_);
    content.rows.insert(content.rows.end(), ids.begin(), ids.end());
  }
  void truncate(Content& content, std::size_t length) {
    std::lock_guard lock(mutex_);
    check(length <= content.rows.size(), "truncate() only shortens");
    content.rows.resize(length);
  }
  std::shared_ptr<Content> copy(const Content& content) const {
    std::lock_guard lock(mutex_);
    return std::make_shared<Content>(Content{content.rows, false});
  }
  std::size_t length(const Content& content) const {
    std::lock_guard lock(mutex_);
    return content.rows.size();
  }
  void cancel(Content& content) {
    std::lock_guard lock(mutex_);
    content.cancelled = true;
  }
  void submit(Job job) {
    if (answers_ == Answers::kAtOnce) {
      answer(job);
      return;
    }
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

 private:
  void serve() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
      }
      answer_next();
    }
  }

  std::optional<Job> next_job() {
    std::lock_guard lock(mutex_);
    if (jobs_.empty()) return std::nullopt;
    std::optional<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    return job;
  }

  static void cancel(Job& job) {
    Generation generation;
    generation.stop = StopReason::kCancelled;
    job.done(std::move(generation), nullptr);
  }

  void answer(Job& job) {
    Generation generation;
    ScriptedQuestion question;
    std::size_t begun = 0;
    std::exception_ptr error;
    bool cancelled = false;
    {
      std::lock_guard lock(mutex_);
      cancelled = job.content->cancelled;
      if (!cancelled) {
        question = describe(job, begun);
        questions_.push_back(question);
      }
    }
    if (cancelled) {
      cancel(job);
      return;
    }
    try {
      std::vector<TokenId> ids = tokenizer_->encode(script_(question));
      ids.erase(ids.begin(),
                ids.begin() + static_cast<std::ptrdiff_t>(std::min(begun, ids.size())));
      if (ids.size() > job.options.max_tokens) {
        ids.resize(job.options.max_tokens);
        generation.stop = StopReason::kMaxTokens;
      }
      const auto differ =
          std::mismatch(ids.begin(), ids.end(), job.options.draft.begin(), job.options.draft.end());
      generation.draft_accepted = static_cast<std::size_t>(differ.first - ids.begin());
      append(*job.content, ids);
      generation.tokens = std::move(ids);
    } catch (...) {
      error = std::current_exception();
    }
    // Given away altogether: whoever takes the error may end it on another thread.
    job.done(std::move(generation), std::move(error));
  }

  ScriptedQuestion describe(const Job& job, std::size_t& begun) const {
    const std::vector<TokenId>& rows = job.content->rows;
    ScriptedQuestion question;
    question.patches = static_cast<std::size_t>(std::count(rows.begin(), rows.end(), kAudioRow));
    question.picture_patches = static_cast<std::size_t>(std::count_if(
        rows.begin(), rows.end(), [](TokenId t) { return t == kPictureRow || t == kFrameRow; }));
    std::vector<TokenId> ids;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(ids),
                 [](TokenId t) { return t >= 0; });
    const auto channel_end = tokenizer_->find(chat_markers::kChannelEnd);
    const auto last = std::find(ids.rbegin(), ids.rend(), *channel_end).base();
    begun = static_cast<std::size_t>(ids.end() - last);
    question.prompt = tokenizer_->decode(std::span(ids.begin(), last), true);
    question.begun = tokenizer_->decode(std::span(last, ids.end()), true);
    question.draft = tokenizer_->decode(job.options.draft, true);
    question.layout = layout(rows);
    question.max_tokens = job.options.max_tokens;
    return question;
  }

  std::string layout(std::span<const TokenId> rows) const {
    std::string out;
    while (!rows.empty()) {
      const TokenId row = std::min<TokenId>(rows.front(), 0);
      const auto end = std::find_if(rows.begin(), rows.end(),
                                    [&](TokenId t) { return std::min<TokenId>(t, 0) != row; });
      const auto count = static_cast<std::size_t>(end - rows.begin());
      if (row == kPictureRow) out += "[" + std::to_string(count) + "]";
      if (row == kFrameRow) out += "[video " + std::to_string(count) + "]";
      if (row == 0) out += tokenizer_->decode(rows.first(count), true);
      rows = rows.subspan(count);
    }
    return out;
  }

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const Script script_;
  const Answers answers_;
  ModelConfig config_;
  GenerationConfig generation_config_;
  std::thread thread_;
  mutable std::mutex mutex_;  // guards all that follows, and every Content
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<ScriptedQuestion> questions_;
  std::size_t contexts_alive_ = 0;
  std::size_t audio_rows_ = 0;
  bool stopping_ = false;
};

class ContextOfScripts final : public Context {
 public:
  ContextOfScripts(EngineOfScripts& engine, std::shared_ptr<Content> content)
      : engine_(engine), content_(std::move(content)) {
    engine_.count_context(1);
  }
  ~ContextOfScripts() override {
    engine_.cancel(*content_);
    engine_.count_context(-1);
  }

  using Context::generate;
  void append(std::span<const TokenId> ids) override { engine_.append(*content_, ids); }
  void append(const AudioPatches& patches) override {
    engine_.append(*content_, patches.count(), kAudioRow);
  }
  void append(const VisionPatches& patches) override {
    engine_.append(*content_, patches.count(), patches.video_frame ? kFrameRow : kPictureRow);
  }
  std::unique_ptr<Context> fork() const override {
    return std::make_unique<ContextOfScripts>(engine_, engine_.copy(*content_));
  }
  void truncate(std::size_t length) override { engine_.truncate(*content_, length); }
  std::size_t length() const override { return engine_.length(*content_); }
  void generate(GenerateOptions options, GenerationCallback done) override {
    engine_.submit({content_, std::move(options), std::move(done)});
  }
  std::future<void> flush() override {
    std::promise<void> done;
    done.set_value();
    return done.get_future();
  }

 private:
  EngineOfScripts& engine_;  // every context is gone before its engine
  std::shared_ptr<Content> content_;
};

std::unique_ptr<Context> EngineOfScripts::new_context(LogitsSink logits) {
  check(!logits, "a scripted engine has no logits");
  return std::make_unique<ContextOfScripts>(*this, std::make_shared<Content>());
}

}  // namespace

std::shared_ptr<ScriptedEngine> ScriptedEngine::make(std::string_view words, Script script,
                                                     Answers answers) {
  return std::make_shared<EngineOfScripts>(words, std::move(script), answers);
}

}  // namespace captiond
