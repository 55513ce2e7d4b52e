// captiond-probe: one prompt through the engine, its logits into a file. For numerics, bug reports
// and tests.

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/option_names.h"
#include "model/probe_prompt.h"

namespace captiond {
namespace {

constexpr int kFailed = 1;
constexpr int kCannotStart = 2;

struct Arguments {
  EngineOptions engine;
  std::filesystem::path prompt;
  std::filesystem::path out;
  std::size_t generate = 0;
  bool apart = false;
};

void describe(CLI::App& app, Arguments& arguments) {
  const std::map<std::string, VisionMask> masks = {
      {"full-causal", VisionMask::kFullCausal},
      {"full-bidirectional", VisionMask::kFullBidirectional}};
  app.add_option("--model", arguments.engine.model, "Hugging Face folder of a gemma4_unified")
      ->required();
  app.add_option("--prompt", arguments.prompt,
                 "JSON: {\"parts\": [{\"ids\": […]}, {\"text\": \"…\"}, {\"audio\": \"a.wav\"}, "
                 "{\"image\": \"b.png\", \"budget\": 70}]}")
      ->required();
  app.add_option("--out", arguments.out,
                 "safetensors file: tokens int64 (input, then generated), logits float32 "
                 "[input positions, vocabulary]")
      ->required();
  app.add_option("--dtype", arguments.engine.dtype, "float32 (default) or bfloat16")
      ->transform(CLI::CheckedTransformer(dtype_names()));
  app.add_option("--device", arguments.engine.device, "cpu (default) or cuda")
      ->transform(CLI::CheckedTransformer(device_names()));
  app.add_option("--weights", arguments.engine.weights,
                 "bf16 (default), or quantised at load on the device cuda: fp8, int8, int4")
      ->transform(CLI::CheckedTransformer(weight_format_names()));
  app.add_option("--kv", arguments.engine.kv,
                 "keys and values: bf16 (default), or on the device cuda fp8")
      ->transform(CLI::CheckedTransformer(kv_format_names()));
  app.add_option("--vision-mask", arguments.engine.vision_mask,
                 "full-bidirectional (default, as transformers' forward) or full-causal")
      ->transform(CLI::CheckedTransformer(masks));
  app.add_option("--generate", arguments.generate, "greedy tokens to add, 0 (default) for none");
  app.add_flag(
      "--apart", arguments.apart,
      "each part of the prompt in a step of its own; by default all in as few as there may be");
}

void write(const Arguments& arguments, const std::vector<std::int64_t>& tokens,
           const std::vector<float>& logits, std::size_t vocabulary) {
  const std::size_t token_bytes = tokens.size() * sizeof(tokens[0]);
  const std::size_t logit_bytes = logits.size() * sizeof(logits[0]);
  const nlohmann::json header = {
      {"tokens",
       {{"dtype", "I64"}, {"shape", {tokens.size()}}, {"data_offsets", {0, token_bytes}}}},
      {"logits",
       {{"dtype", "F32"},
        {"shape", {logits.size() / vocabulary, vocabulary}},
        {"data_offsets", {token_bytes, token_bytes + logit_bytes}}}}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::ofstream out(arguments.out, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(&length), sizeof(length));
  out << text;
  out.write(reinterpret_cast<const char*>(tokens.data()),
            static_cast<std::streamsize>(token_bytes));
  out.write(reinterpret_cast<const char*>(logits.data()),
            static_cast<std::streamsize>(logit_bytes));
  out.close();
  if (!out) {
    throw std::runtime_error(arguments.out.string() +
                             " could not be written; look at the folder and the free space.");
  }
}

void run(const Arguments& arguments, Engine& engine, const ProbePrompt& prompt) {
  std::vector<float> logits;
  const std::unique_ptr<Context> context =
      engine.new_context([&](std::size_t, std::span<const float> row) {
        logits.insert(logits.end(), row.begin(), row.end());
      });
  for (const ProbePrompt::Part& part : prompt.parts) {
    std::visit([&](const auto& rows) { context->append(rows); }, part);
    if (arguments.apart) context->flush().get();
  }
  context->flush().get();
  std::vector<std::int64_t> tokens(prompt.tokens.begin(), prompt.tokens.end());
  if (arguments.generate > 0) {
    GenerateOptions options;
    options.max_tokens = arguments.generate;
    const Generation generation = context->generate(options).get();
    tokens.insert(tokens.end(), generation.tokens.begin(), generation.tokens.end());
  }
  write(arguments, tokens, logits, static_cast<std::size_t>(engine.config().text.vocab_size));
}

int fail(const std::exception& error, int code) {
  std::fprintf(stderr, "captiond-probe: %s\n", error.what());
  return code;
}

int probe(int argc, char** argv) {
  CLI::App app("Runs one prompt through a checkpoint and writes its logits.", "captiond-probe");
  Arguments arguments;
  describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(error, kCannotStart);
  }
  std::shared_ptr<Engine> engine;
  ProbePrompt prompt;
  arguments.engine.report = [](const std::string& sentence) {
    std::fprintf(stderr, "captiond-probe: %s\n", sentence.c_str());
  };
  try {
    engine = Engine::open(arguments.engine);
    prompt = read_probe_prompt(arguments.prompt, *engine);
  } catch (const std::exception& error) {
    return fail(error, kCannotStart);
  }
  try {
    run(arguments, *engine, prompt);
  } catch (const std::exception& error) {
    return fail(error, kFailed);
  }
  return 0;
}

}  // namespace
}  // namespace captiond

int main(int argc, char** argv) { return captiond::probe(argc, argv); }
