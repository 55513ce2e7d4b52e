#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "captiond/v1/event.pb.h"
#include "pipeline/subscriber.h"
#include "tests/e2e/child_process.h"
#include "tests/support/temporary_folder.h"

namespace captiond::test {

// `captiond serve` as a process, and a subscriber that hears everything from the first event on.
//
// The program under test is the one that the environment variable CAPTIOND_PROGRAM names. Its model
// is that of the variable CAPTIOND_TEST_MODEL; without it, a scripted one that always hears "hello
// world".
class DaemonBench {
 public:
  // `config` is YAML without engine and publisher; both are added. `files` (name → bytes) are
  // written beside it. The daemon publishes on a port of its own and waits for the subscriber.
  DaemonBench(const std::string& config, const std::map<std::string, std::string>& files);

  ChildProcess& daemon() { return *daemon_; }
  const TemporaryFolder& folder() const { return folder_; }
  const std::string& endpoint() const { return endpoint_; }

  // The next event that is no heartbeat; fails the test after ChildProcess::kPatience.
  v1::Event next();
  // Events up to and with the first for which `last` holds; heartbeats are left out.
  template <class Predicate>
  std::vector<v1::Event> until(Predicate last) {
    std::vector<v1::Event> events;
    do {
      events.push_back(next());
    } while (!last(events.back()));
    return events;
  }
  // The next heartbeat.
  v1::Event heartbeat();

 private:
  TemporaryFolder folder_;
  std::string endpoint_;
  std::unique_ptr<ChildProcess> daemon_;
  std::unique_ptr<Subscriber> subscriber_;
};

// The path in the environment variable CAPTIOND_PROGRAM.
std::string program();

// Writes the folder of a scripted checkpoint that hears `answer` in everything.
std::filesystem::path write_scripted_model(const TemporaryFolder& folder,
                                           const std::string& answer);

}  // namespace captiond::test
