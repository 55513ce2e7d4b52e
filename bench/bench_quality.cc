// What each format of weights, keys and values costs in words: a checkpoint transcribes a set of
// utterances greedily (word errors), and reads their true texts, where its next-token distributions
// are compared with those of the first format (share of equal first choices, mean Kullback-Leibler
// divergence in nats). bench/format_quality.py makes the list of utterances.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/chat_prompt.h"
#include "model/engine.h"
#include "model/option_names.h"
#include "model/wav_file.h"

namespace {

using captiond::AudioPatches;
using captiond::Context;
using captiond::Engine;
using captiond::EngineOptions;
using captiond::TokenId;

struct Utterance {
  AudioPatches patches;
  std::string text;
};

// A line each: WAV file, tab, what is said.
std::vector<Utterance> read_items(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error(file + " cannot be read; make it with format_quality.py.");
  std::vector<Utterance> out;
  for (std::string line; std::getline(in, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) throw std::runtime_error(file + " has a line without a tab.");
    Utterance utterance{.patches = {.samples = captiond::read_wav(line.substr(0, tab))},
                        .text = line.substr(tab + 1)};
    constexpr std::size_t kSamples = AudioPatches::kSamplesPerPatch;
    auto& samples = utterance.patches.samples;
    samples.resize((samples.size() + kSamples - 1) / kSamples * kSamples, 0.0F);
    out.push_back(std::move(utterance));
  }
  if (out.empty()) throw std::runtime_error(file + " lists no utterance.");
  return out;
}

std::vector<std::string> words_of(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'') continue;
    plain += std::isalnum(byte) != 0 || byte >= 128 ? static_cast<char>(std::tolower(byte)) : ' ';
  }
  std::istringstream in(plain);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// Insertions, deletions and substitutions between two texts.
std::size_t word_errors(const std::vector<std::string>& said,
                        const std::vector<std::string>& heard) {
  std::vector<std::size_t> row(heard.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= said.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j < row.size(); ++j) {
      const std::size_t replaced = diagonal + (said[i - 1] == heard[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// What a format makes of all utterances.
struct Reading {
  std::size_t errors = 0;
  std::size_t words = 0;
  std::vector<float> log_shares;  // [positions, vocabulary], natural logarithm
};

void append_log_shares(std::span<const float> logits, std::vector<float>& out) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - most);
  const double log_sum = most + std::log(sum);
  if (!std::isfinite(log_sum)) throw std::runtime_error("A logit is not finite.");
  for (const float logit : logits) out.push_back(static_cast<float>(double{logit} - log_sum));
}

void append_question(Context& context, Engine& engine, const AudioPatches& patches) {
  const captiond::Chat chat{
      .messages = {captiond::UserMessage{
          .content =
              std::vector<captiond::ContentPart>{
                  captiond::TextPart{captiond::transcription_prompt("English")},
                  captiond::MediaPart{.kind = captiond::MediaKind::kAudio, .frames = {}}}}},
      .tools = {}};
  for (const captiond::PromptSegment& segment :
       captiond::tokenize_chat(engine.tokenizer(), engine.config(), chat)) {
    context.append(segment.ids);
    if (segment.media) context.append(patches);
  }
}

Reading read(Engine& engine, const std::vector<Utterance>& utterances) {
  Reading reading;
  for (const Utterance& utterance : utterances) {
    const auto question = engine.new_context();
    append_question(*question, engine, utterance.patches);
    const std::size_t asked = question->length();
    captiond::GenerateOptions options;
    options.max_tokens = 16 + utterance.patches.count() / 2;
    const std::vector<TokenId> heard = question->generate(options).get().tokens;
    const std::vector<std::string> said = words_of(utterance.text);
    reading.errors += word_errors(said, words_of(engine.tokenizer().decode(heard)));
    reading.words += said.size();
    // The true text behind the same question; each position from the last of the question on says
    // what it expects next.
    const auto forced =
        engine.new_context([&](std::size_t position, std::span<const float> logits) {
          if (position + 1 >= asked) append_log_shares(logits, reading.log_shares);
        });
    append_question(*forced, engine, utterance.patches);
    forced->append(engine.tokenizer().encode_plain(utterance.text));
    forced->flush().get();
  }
  return reading;
}

struct Difference {
  double agreement = 0;
  double divergence = 0;  // mean of KL(reference || other)
  std::size_t positions = 0;
};

Difference compare(const Reading& reference, const Reading& other, std::size_t vocabulary) {
  if (reference.log_shares.size() != other.log_shares.size()) {
    throw std::runtime_error("Two formats read another number of positions.");
  }
  Difference out{.positions = reference.log_shares.size() / vocabulary};
  for (std::size_t i = 0; i < out.positions; ++i) {
    const auto p = std::span(reference.log_shares).subspan(i * vocabulary, vocabulary);
    const auto q = std::span(other.log_shares).subspan(i * vocabulary, vocabulary);
    const auto first = [](std::span<const float> shares) {
      return std::max_element(shares.begin(), shares.end()) - shares.begin();
    };
    out.agreement += first(p) == first(q) ? 1.0 : 0.0;
    for (std::size_t id = 0; id < vocabulary; ++id) {
      out.divergence += std::exp(double{p[id]}) * (double{p[id]} - double{q[id]});
    }
  }
  out.agreement /= static_cast<double>(out.positions);
  out.divergence /= static_cast<double>(out.positions);
  return out;
}

// "fp8/bf16": weights, then keys and values.
void set_format(const std::string& format, EngineOptions& options) {
  const auto& weights = captiond::weight_format_names();
  const auto& kv = captiond::kv_format_names();
  const std::size_t slash = format.find('/');
  const auto w = weights.find(format.substr(0, slash));
  const auto k = slash == std::string::npos ? kv.end() : kv.find(format.substr(slash + 1));
  if (w == weights.end() || k == kv.end()) {
    throw std::runtime_error("The format '" + format +
                             "' is not WEIGHTS/KV of bf16, fp8, int8, int4 / bf16, fp8.");
  }
  options.weights = w->second;
  options.kv = k->second;
}

int run(int argc, char** argv) {
  CLI::App app("Measures what the formats of weights, keys and values cost in words.");
  EngineOptions options;
  options.dtype = captiond::Dtype::kBfloat16;
  std::string model = "assets/demo-model";
  std::string items;
  std::vector<std::string> formats = {"bf16/bf16", "fp8/bf16", "int8/bf16", "int4/bf16",
                                      "bf16/fp8",  "fp8/fp8",  "int4/fp8"};
  options.device = captiond::Device::kCuda;
  app.add_option("--model", model, "checkpoint folder")->capture_default_str();
  app.add_option("--items", items, "list of utterances")->required();
  app.add_option("--formats", formats, "WEIGHTS/KV; all are compared with the first")
      ->capture_default_str();
  app.add_option("--device", options.device, "cuda (default) or cpu")
      ->transform(CLI::CheckedTransformer(captiond::device_names()));
  CLI11_PARSE(app, argc, argv);
  options.model = model;
  const std::vector<Utterance> utterances = read_items(items);
  Reading reference;
  std::printf(
      "| weights / KV | word errors | of words | WER | top-1 agreement | KL, nats |\n"
      "|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < formats.size(); ++i) {
    set_format(formats[i], options);
    const auto engine = Engine::open(options);
    Reading reading = read(*engine, utterances);
    if (i == 0) reference = reading;
    const Difference difference =
        compare(reference, reading, static_cast<std::size_t>(engine->config().text.vocab_size));
    std::printf("| %s | %zu | %zu | %.2f %% | %.4f of %zu | %.5f |\n", formats[i].c_str(),
                reading.errors, reading.words,
                100.0 * static_cast<double>(reading.errors) / static_cast<double>(reading.words),
                difference.agreement, difference.positions, difference.divergence);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_quality: %s\n", error.what());
    return 1;
  }
}
