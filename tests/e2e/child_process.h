#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace captiond::test {

// A program that runs beside the test, its output read as it comes. A child that is still there at
// the end is killed. One thread.
class ChildProcess {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  // Starts `arguments` (the first is the program's path) with `environment` added to the test's
  // own. Standard input is empty. Throws std::runtime_error.
  explicit ChildProcess(const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // What has come on standard output and standard error so far.
  const std::string& out() const { return streams_[0].text; }
  const std::string& err() const { return streams_[1].text; }

  // Reads until `text` stands in err() (out()); false if the program ended or kPatience passed
  // before that.
  bool wait_for_err(const std::string& text);
  bool wait_for_out(const std::string& text);

  void signal(int number) const;

  // Reads until the program has ended. Returns its exit code, or -N if signal N ended it. Throws
  // std::runtime_error, with what it said, if that takes longer than kPatience; the child is
  // killed.
  int wait();

 private:
  struct Stream {
    int descriptor = -1;
    std::string text;
  };
  bool read_until(const std::function<bool()>& enough);

  pid_t process_ = -1;
  Stream streams_[2];
};

// What a program said and how it ended.
struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

Outcome run(const std::vector<std::string>& arguments,
            const std::map<std::string, std::string>& environment = {});

}  // namespace captiond::test
