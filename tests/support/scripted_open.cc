#include "tests/support/scripted_open.h"

#include <atomic>
#include <fstream>
#include <stdexcept>
#include <string>

#include "model/checkpoint.h"
#include "tests/support/scripted_engine.h"

namespace captiond {
namespace {

std::atomic<std::size_t> opens = 0;

}  // namespace

std::size_t scripted_opens() { return opens; }

std::shared_ptr<Engine> Engine::open(const EngineOptions& options) {
  std::ifstream file(options.model / "answer.txt");
  if (!file) {
    Checkpoint::open(options.model);
    throw std::runtime_error("this program has no engine for a real checkpoint");
  }
  std::string answer;
  std::getline(file, answer);
  ++opens;
  return ScriptedEngine::make(
      answer, [answer](const ScriptedQuestion&) { return answer; },
      ScriptedEngine::Answers::kOnAThread);
}

}  // namespace captiond
