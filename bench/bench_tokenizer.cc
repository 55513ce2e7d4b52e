// Loading a tokenizer and encoding texts of a megabyte, beside Hugging Face `tokenizers` on the
// same texts in the same run. Prints one table; a ratio above 1 says that captiond is faster. The
// limit of both is memory latency: each pair of neighbours is one look-up in a table of many
// megabytes.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include "model/tokenizer.h"

namespace {

using captiond::Tokenizer;

constexpr std::size_t kBytes = 1'000'000;
constexpr int kPasses = 3;

struct Text {
  std::string name;
  std::string bytes;
};

struct Result {
  double seconds = std::numeric_limits<double>::infinity();
  std::size_t tokens = 0;
};

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A megabyte of what `next` gives.
std::string filled(const std::function<std::string()>& next) {
  std::string text;
  while (text.size() < kBytes) text += next();
  return text;
}

std::vector<Text> texts() {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t end) { return static_cast<std::uint32_t>(random()) % end; };
  const std::vector<std::string> words = {
      "the ",      "of ",      "and ",      "committee ", "meets ",  "on ",
      "Tuesday, ", "plans ",   "weather. ", "Rain ",      "will ",   "reach ",
      "western ",  "coast ",   "by ",       "noon; ",     "trains ", "leave ",
      "at ",       "quarter ", "past ",     "7:45 ",      "from ",   "platform ",
      "three. ",   "It's ",    "a ",        "question ",  "nobody ", "expected. "};
  const auto letter = [&] { return std::string(1, static_cast<char>('a' + below(26))); };
  const auto ideograph = [&] {
    const std::uint32_t c = 0x4E00 + below(20000);
    return std::string{static_cast<char>(0xE0 | (c >> 12)),
                       static_cast<char>(0x80 | ((c >> 6) & 63)),
                       static_cast<char>(0x80 | (c & 63))};
  };
  return {{"English words", filled([&] { return words[below(30)]; })},
          {"one letter", std::string(kBytes, 'a')},
          {"random letters", filled(letter)},
          {"ideographs", filled(ideograph)},
          {"spaces", std::string(kBytes, ' ')},
          {"newlines", std::string(kBytes, '\n')},
          {"emoji", filled([] { return std::string("👩🏽‍🚀 🇪🇺 "); })},
          {"bytes", filled([&] { return std::string(1, static_cast<char>(below(256))); })}};
}

// Writes the texts as NUMBER.txt, has bench/hugging_face_tokenizer.py time them, and reads its
// lines "NUMBER SECONDS TOKENS"; number -1 is loading.
std::map<int, Result> hugging_face_results(const std::string& python, const std::string& tokenizer,
                                           const std::vector<Text>& texts) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("captiond-bench-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::ofstream(folder / (std::to_string(i) + ".txt"), std::ios::binary) << texts[i].bytes;
  }
  const std::string command = python + " bench/hugging_face_tokenizer.py '" + tokenizer + "' '" +
                              folder.string() + "' " + std::to_string(kPasses);
  std::map<int, Result> results;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  char line[256];
  while (std::fgets(line, sizeof line, pipe.get()) != nullptr) {
    std::istringstream fields(line);
    int number = 0;
    Result result;
    fields >> number >> result.seconds >> result.tokens;
    results[number] = result;
  }
  fs::remove_all(folder);
  if (results.size() != texts.size() + 1) throw std::runtime_error("failed: " + command);
  return results;
}

void run(const std::string& file, const std::string& python) {
  Result loaded;
  std::shared_ptr<const Tokenizer> tokenizer;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = seconds_of([&] { tokenizer = Tokenizer::open(file); });
    loaded.seconds = std::min(loaded.seconds, seconds);
  }
  const std::vector<Text> all = texts();
  std::map<int, Result> theirs;
  if (!python.empty()) theirs = hugging_face_results(python, file, all);
  std::printf("%s, %zu tokens\n", file.c_str(), tokenizer->size());
  std::printf("%-16s %10s %10s %10s %10s %8s\n", "", "tokens", "seconds", "MB/s", "theirs, s",
              "ratio");
  const auto print = [&](const char* name, int number, const Result& ours, double bytes) {
    std::printf("%-16s %10zu %10.4f %10.1f", name, ours.tokens, ours.seconds,
                bytes / ours.seconds / 1e6);
    const auto other = theirs.find(number);
    if (other != theirs.end()) {
      std::printf(" %10.4f %8.2f%s", other->second.seconds, other->second.seconds / ours.seconds,
                  other->second.tokens == ours.tokens ? "" : "  OTHER TOKENS");
    }
    std::printf("\n");
  };
  loaded.tokens = tokenizer->size();
  print("load", -1, loaded, static_cast<double>(std::filesystem::file_size(file)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    Result ours;
    for (int pass = 0; pass < kPasses; ++pass) {
      const double seconds =
          seconds_of([&] { ours.tokens = tokenizer->encode(all[i].bytes).size(); });
      ours.seconds = std::min(ours.seconds, seconds);
    }
    print(all[i].name.c_str(), static_cast<int>(i), ours, static_cast<double>(all[i].bytes.size()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times the tokenizer; run in the repository's root.");
  std::string file = "build/test-data/gemma3-tokenizer.json";
  std::string python = ".venv/bin/python";
  app.add_option("--tokenizer", file, "tokenizer.json; default: what tools/fetch_test_data brings");
  app.add_option("--python", python, "Python with `tokenizers`; empty: no comparison");
  CLI11_PARSE(app, argc, argv);
  try {
    run(file, python);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_tokenizer: %s\n", error.what());
    return 1;
  }
  return 0;
}
