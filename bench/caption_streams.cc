#include "bench/caption_streams.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <thread>
#include <utility>

namespace captiond {
namespace {

constexpr std::size_t kPatchesPerSecond = 25;
constexpr std::size_t kFirstPatches = 13;  // the captioner appends every half second
constexpr std::size_t kNoiseSeconds = 8;

std::vector<float> noise() {
  std::mt19937 random(7);
  std::normal_distribution<float> sample(0.0F, 0.1F);
  std::vector<float> samples(kNoiseSeconds * kPatchesPerSecond * AudioPatches::kSamplesPerPatch);
  for (float& value : samples) value = sample(random);
  return samples;
}

}  // namespace

double CaptionLatencies::quantile(double share) const {
  const auto index = static_cast<std::size_t>(std::ceil(share * static_cast<double>(updates())));
  if (index == 0 || index > seconds.size()) return std::numeric_limits<double>::infinity();
  return seconds[index - 1];
}

CaptionStreams::CaptionStreams(Engine& engine, const CaptionLoad& load)
    : engine_(engine), load_(load), noise_(noise()), suffix_(random_ids(load.suffix)) {}

CaptionStreams::~CaptionStreams() = default;

std::size_t CaptionStreams::positions_max(const CaptionLoad& load) {
  return load.prompt + load.segment_s * (kPatchesPerSecond + load.text_per_s) + load.suffix +
         2 * load.tokens_most;
}

double CaptionStreams::rows_per_s(const CaptionLoad& load) {
  const double tokens = static_cast<double>(load.tokens_least + load.tokens_most) / 2;
  // The draft has as many tokens as an update makes. The last token made needs no row, and the
  // first comes with the rows of the prompt.
  return static_cast<double>(kPatchesPerSecond + load.suffix) +
         static_cast<double>(load.text_per_s * (load.segment_s - 1)) / 2 + 2 * tokens - 1;
}

std::vector<TokenId> CaptionStreams::random_ids(std::size_t count) {
  const auto vocabulary = static_cast<TokenId>(engine_.config().text.vocab_size);
  // Away from the special tokens at both ends.
  std::uniform_int_distribution<TokenId> any(vocabulary / 16, vocabulary / 4 * 3);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = any(random_);
  return ids;
}

void CaptionStreams::begin_segment(Stream& stream) {
  stream.segment = stream.prompt->fork();
  stream.text.clear();
  stream.draft.clear();
  stream.age_s = 0;
}

void CaptionStreams::hear(Stream& stream, std::size_t patches) {
  constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
  const std::size_t most = noise_.size() / kSamples - patches;
  const std::size_t first = std::uniform_int_distribution<std::size_t>(0, most)(random_);
  const auto begin = noise_.begin() + static_cast<std::ptrdiff_t>(first * kSamples);
  stream.segment->append(
      AudioPatches{.samples = {begin, begin + static_cast<std::ptrdiff_t>(patches * kSamples)}});
}

void CaptionStreams::resize(std::size_t count) {
  const std::size_t before = std::min(streams_.size(), count);
  streams_.resize(count);
  for (std::size_t i = before; i < count; ++i) {
    Stream& stream = streams_[i];
    stream.prompt = engine_.new_context();
    stream.prompt->append(random_ids(load_.prompt));
    begin_segment(stream);
    // Ages are spread evenly, so that segments do not restart together.
    stream.age_s = (i * 7) % load_.segment_s;
    for (std::size_t second = 0; second < stream.age_s; ++second) hear(stream, kPatchesPerSecond);
    stream.text = random_ids(stream.age_s * load_.text_per_s);
    stream.draft = random_ids(load_.tokens_least);
  }
  for (Stream& stream : streams_) stream.segment->flush().get();
}

void CaptionStreams::ask(std::size_t index, Clock::time_point due, bool counts,
                         CaptionLatencies& result) {
  Stream& stream = streams_[index];
  if (stream.update) {  // as in the captioner, the next one is skipped
    if (counts) ++result.missed;
    return;
  }
  stream.update = stream.segment->fork();
  std::vector<TokenId> ids = suffix_;
  ids.insert(ids.end(), stream.text.begin(), stream.text.end());
  stream.update->append(ids);
  GenerateOptions options;
  options.max_tokens =
      std::uniform_int_distribution<std::size_t>(load_.tokens_least, load_.tokens_most)(random_);
  options.draft = stream.draft;
  options.deadline = due + std::chrono::seconds(1);
  stream.due = due;
  stream.counts = counts;
  const std::uint64_t number = ++updates_;
  stream.number = number;
  stream.update->generate(std::move(options), [inbox = inbox_, index, number](
                                                  Generation generation, std::exception_ptr error) {
    const Clock::time_point at = Clock::now();
    const std::lock_guard lock(inbox->mutex);
    inbox->done.push_back({index, number, at, std::move(generation), std::move(error)});
  });
}

void CaptionStreams::collect(CaptionLatencies& result) {
  std::vector<Done> done;
  {
    const std::lock_guard lock(inbox_->mutex);
    done.swap(inbox_->done);
  }
  for (Done& one : done) {
    if (one.stream >= streams_.size()) continue;  // taken away since
    Stream& stream = streams_[one.stream];
    if (stream.number != one.update) continue;
    if (one.error) std::rethrow_exception(one.error);
    stream.update.reset();
    stream.draft = std::move(one.generation.tokens);
    if (!stream.counts) continue;
    result.seconds.push_back(std::chrono::duration<double>(one.at - stream.due).count());
    result.tokens += stream.draft.size();
  }
}

CaptionLatencies CaptionStreams::run(double warm_s, double measured_s, double late_s,
                                     double missed_max) {
  CaptionLatencies result;
  const std::size_t count = streams_.size();
  const auto per_s = static_cast<double>(count);
  const auto warm = static_cast<std::size_t>(std::ceil(warm_s * per_s));
  const auto total = static_cast<std::size_t>(std::ceil((warm_s + measured_s) * per_s));
  const double late_most = missed_max * measured_s * per_s;
  const Clock::time_point began = Clock::now();
  for (std::size_t i = 0; i < total; ++i) {
    const auto due = began + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(static_cast<double>(i) / per_s));
    std::this_thread::sleep_until(due);
    collect(result);
    const std::size_t index = i % count;
    Stream& stream = streams_[index];
    hear(streams_[(index + count / 2) % count], kFirstPatches);
    hear(stream, kPatchesPerSecond - kFirstPatches);
    ask(index, due, i >= warm, result);
    if (++stream.age_s == load_.segment_s) {
      begin_segment(stream);
    } else {
      const std::vector<TokenId> more = random_ids(load_.text_per_s);
      stream.text.insert(stream.text.end(), more.begin(), more.end());
    }
    const auto late = std::count_if(result.seconds.begin(), result.seconds.end(),
                                    [&](double seconds) { return seconds > late_s; });
    if (static_cast<double>(late) + static_cast<double>(result.missed) > late_most) break;
  }
  // What was asked for last still has a second.
  const auto under_way = [&] {
    return std::count_if(streams_.begin(), streams_.end(), [](const Stream& stream) {
      return stream.update != nullptr && stream.counts;
    });
  };
  const Clock::time_point end = Clock::now() + std::chrono::seconds(1);
  while (under_way() > 0 && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    collect(result);
  }
  for (Stream& stream : streams_) {
    if (stream.update != nullptr && stream.counts) ++result.missed;
    stream.counts = false;
  }
  std::sort(result.seconds.begin(), result.seconds.end());
  return result;
}

}  // namespace captiond
