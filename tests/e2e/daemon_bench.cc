#include "tests/e2e/daemon_bench.h"

#include <cstdlib>
#include <stdexcept>

namespace captiond::test {
namespace {

constexpr const char* kAnnouncement = "publishing on ";

}  // namespace

std::string program() {
  const char* path = std::getenv("CAPTIOND_PROGRAM");
  if (path == nullptr) throw std::runtime_error("CAPTIOND_PROGRAM names no program to test");
  return path;
}

std::filesystem::path write_scripted_model(const TemporaryFolder& folder,
                                           const std::string& answer) {
  std::filesystem::create_directory(folder.path() / "model");
  folder.write("model/answer.txt", answer);
  return folder.path() / "model";
}

DaemonBench::DaemonBench(const std::string& config,
                         const std::map<std::string, std::string>& files) {
  const char* model = std::getenv("CAPTIOND_TEST_MODEL");
  const std::string folder =
      model != nullptr ? model : write_scripted_model(folder_, "hello world").native();
  for (const auto& [name, bytes] : files) folder_.write(name, bytes);
  const auto file = folder_.write("config.yaml", "engine: {model: '" + folder +
                                                     "'}\n"
                                                     "publisher:\n"
                                                     "  endpoint: tcp://127.0.0.1:*\n"
                                                     "  heartbeat: 50ms\n"
                                                     "  wait_for_subscriptions: 1\n" +
                                                     config);
  daemon_ =
      std::make_unique<ChildProcess>(std::vector<std::string>{program(), "serve", file.native()});
  if (!daemon_->wait_for_err(kAnnouncement) ||
      !daemon_->wait_for_err("waiting for subscriptions")) {
    throw std::runtime_error("the daemon did not start: " + daemon_->err());
  }
  const std::string& err = daemon_->err();
  const auto begin = err.find(kAnnouncement) + std::string(kAnnouncement).size();
  endpoint_ = err.substr(begin, err.find_first_of("\"\n", begin) - begin);
  subscriber_ = std::make_unique<Subscriber>(endpoint_, std::vector<std::string>{}, -1);
}

v1::Event DaemonBench::next() {
  while (true) {
    auto event = subscriber_->receive(ChildProcess::kPatience);
    if (!event) throw std::runtime_error("no event came; the daemon said: " + daemon_->err());
    if (!event->has_heartbeat()) return *event;
  }
}

v1::Event DaemonBench::heartbeat() {
  while (true) {
    auto event = subscriber_->receive(ChildProcess::kPatience);
    if (!event) throw std::runtime_error("no event came; the daemon said: " + daemon_->err());
    if (event->has_heartbeat()) return *event;
  }
}

}  // namespace captiond::test
