// captiond-probe as a process, beside transformers on a prompt of WAV and PNG files.
#define BOOST_TEST_MODULE probe

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "tests/model/parity_case.h"

using namespace captiond;
using namespace captiond::test;

namespace {

const std::filesystem::path kPrompt = CAPTIOND_PROBE_PROMPT;
const std::filesystem::path kCheckpoint =
    std::filesystem::path(CAPTIOND_PARITY_CHECKPOINTS) / "full_first";

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

template <typename T>
std::vector<T> tensor(const std::string& safetensors, const std::string& name) {
  std::uint64_t length = 0;
  std::memcpy(&length, safetensors.data(), sizeof(length));
  const auto header = nlohmann::json::parse(safetensors.substr(8, length));
  const std::size_t begin = header.at(name).at("data_offsets").at(0);
  const std::size_t end = header.at(name).at("data_offsets").at(1);
  std::vector<T> out((end - begin) / sizeof(T));
  std::memcpy(out.data(), safetensors.data() + 8 + length + begin, end - begin);
  return out;
}

struct Outcome {
  int code = 0;
  std::string errors;
  std::string out;  // the safetensors file
};

Outcome probe(const std::string& arguments) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("captiond-test-probe-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto out = folder / "out.safetensors";
  const auto errors = folder / "errors.txt";
  std::filesystem::remove(out);
  const std::string command = std::string("'") + CAPTIOND_PROBE + "' " + arguments + " --out '" +
                              out.string() + "' 2> '" + errors.string() + "'";
  const int status = std::system(command.c_str());
  Outcome outcome{.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                  .errors = content(errors),
                  .out = content(out)};
  std::filesystem::remove_all(folder);
  return outcome;
}

std::string prompt_arguments(const std::filesystem::path& prompt) {
  return "--model '" + kCheckpoint.string() + "' --prompt '" + prompt.string() + "'";
}

void write_prompt(const std::string& name, const std::string& text) {
  std::ofstream(kPrompt / name) << text;
}

void refused(const std::string& arguments, const std::string& part) {
  BOOST_TEST_CONTEXT(arguments) {
    const Outcome outcome = probe(arguments);
    BOOST_TEST(outcome.code == 2);
    BOOST_TEST(outcome.errors.find(part) != std::string::npos, outcome.errors);
    BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1);
    BOOST_TEST(outcome.out.empty());
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(logits_and_tokens_equal_those_of_transformers) {
  const std::string expected = content(kPrompt / "expected.safetensors");
  const auto json = nlohmann::json::parse(content(kPrompt / "expected.json"));
  const auto tokens = json.at("tokens").get<std::vector<std::int64_t>>();
  const std::size_t generated = tokens.size() - json.at("positions").get<std::size_t>();
  for (const auto& [mask, name] : {std::pair{"full-bidirectional", "logits"},
                                   std::pair{"full-causal", "logits_full_causal"}}) {
    const Outcome outcome =
        probe(prompt_arguments(kPrompt / "prompt.json") + " --vision-mask " + mask +
              " --generate " + std::to_string(name == std::string("logits") ? generated : 0));
    BOOST_TEST_REQUIRE(outcome.code == 0, outcome.errors);
    BOOST_TEST(relative_difference(tensor<float>(outcome.out, "logits"),
                                   tensor<float>(expected, name)) <= 1e-4);
    if (name == std::string("logits")) {
      BOOST_TEST(tensor<std::int64_t>(outcome.out, "tokens") == tokens);
    }
  }
}

BOOST_AUTO_TEST_CASE(parts_in_steps_of_their_own_give_the_same_logits) {
  write_prompt("apart.json", R"({"parts": [{"ids": [2]}, {"ids": [5]}, {"image": "rgb.png"}, )"
                             R"({"ids": [6, 7]}, {"audio": "speech.wav"}, {"ids": [8]}]})");
  const std::string arguments = prompt_arguments(kPrompt / "apart.json");
  const Outcome together = probe(arguments);
  const Outcome apart = probe(arguments + " --apart");
  BOOST_TEST_REQUIRE(together.code == 0, together.errors);
  BOOST_TEST_REQUIRE(apart.code == 0, apart.errors);
  BOOST_TEST(relative_difference(tensor<float>(apart.out, "logits"),
                                 tensor<float>(together.out, "logits")) <= 1e-4);
  BOOST_TEST(tensor<std::int64_t>(apart.out, "tokens") ==
             tensor<std::int64_t>(together.out, "tokens"));
}

BOOST_AUTO_TEST_CASE(what_cannot_start_is_said_in_one_sentence_with_code_2) {
  refused("--model /nonexistent --prompt x.json", "/nonexistent");
  refused("--prompt x.json", "--model");
  refused(prompt_arguments("/nonexistent.json"), "/nonexistent.json");
  refused(prompt_arguments(kPrompt / "prompt.json") + " --dtype float16", "float16");
#ifndef CAPTIOND_CUDA
  refused(prompt_arguments(kPrompt / "prompt.json") + " --device cuda", "cuda");
#endif
  const std::vector<std::pair<std::string, std::string>> prompts = {
      {"{\"parts\": ", "JSON"},
      {"[]", "parts"},
      {"{\"parts\": []}", "no positions"},
      {"{\"parts\": [{\"ids\": [5, 320]}]}", "320"},
      {"{\"parts\": [{\"ids\": [5.5]}]}", "5.5"},
      {"{\"parts\": [{\"ids\": [2]}, {\"words\": \"a\"}]}", "part 2"},
      {"{\"parts\": [{\"audio\": \"missing.wav\"}]}", "missing.wav"},
      {"{\"parts\": [{\"audio\": \"rgb.png\"}]}", "RIFF"},
      {"{\"parts\": [{\"image\": \"speech.wav\"}]}", "speech.wav"},
      {"{\"parts\": [{\"image\": \"rgb.png\", \"budget\": 71}]}", "71"},
      {"{\"parts\": [{\"image\": \"rgb.png\", \"size\": 70}]}", "part 1"},
  };
  for (const auto& [text, part] : prompts) {
    write_prompt("refused.json", text);
    refused(prompt_arguments(kPrompt / "refused.json"), part);
  }
}

BOOST_AUTO_TEST_CASE(what_fails_while_running_has_code_1) {
  write_prompt("too_long.json", "{\"parts\": [{\"ids\": [2]}]}");
  const Outcome outcome = probe(prompt_arguments(kPrompt / "too_long.json") + " --generate 4096");
  BOOST_TEST(outcome.code == 1);
  BOOST_TEST(outcome.errors.find("4096") != std::string::npos);
}
