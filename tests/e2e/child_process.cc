#include "tests/e2e/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace captiond::test {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string variable = *each;
    if (!added.contains(variable.substr(0, variable.find('=')))) variables.push_back(variable);
  }
  for (const auto& [name, value] : added) variables.push_back(name + "=" + value);
  return variables;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  int ends[2][2];
  for (int i = 0; i < 2; ++i) {
    if (pipe2(ends[i], O_CLOEXEC) != 0) throw std::runtime_error("no pipe can be made");
    posix_spawn_file_actions_adddup2(&actions, ends[i][1], i + 1);
    streams_[i].descriptor = ends[i][0];
  }
  std::vector<std::string> words = arguments;
  std::vector<std::string> variables = merged_environment(environment);
  const int error = posix_spawn(&process_, arguments.at(0).c_str(), &actions, nullptr,
                                pointers(words).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  for (const auto& end : ends) close(end[1]);
  if (error != 0) throw std::runtime_error(arguments[0] + " cannot be run: " + strerror(error));
}

ChildProcess::~ChildProcess() {
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  for (const Stream& stream : streams_) {
    if (stream.descriptor >= 0) close(stream.descriptor);
  }
}

bool ChildProcess::wait_for_err(const std::string& text) {
  return read_until([&] { return err().find(text) != std::string::npos; });
}

bool ChildProcess::wait_for_out(const std::string& text) {
  return read_until([&] { return out().find(text) != std::string::npos; });
}

void ChildProcess::signal(int number) const { kill(process_, number); }

int ChildProcess::wait() {
  // The program has ended when nobody holds the other ends any more.
  read_until([this] { return streams_[0].descriptor < 0 && streams_[1].descriptor < 0; });
  if (streams_[0].descriptor >= 0 || streams_[1].descriptor >= 0) {
    throw std::runtime_error("a program did not end; it said:\n" + out() + err());
  }
  int status = 0;
  while (waitpid(process_, &status, 0) < 0 && errno == EINTR) continue;
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Whether `enough` came true before both streams were closed and before kPatience had passed.
bool ChildProcess::read_until(const std::function<bool()>& enough) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!enough()) {
    pollfd items[2] = {{streams_[0].descriptor, POLLIN, 0}, {streams_[1].descriptor, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const bool closed = streams_[0].descriptor < 0 && streams_[1].descriptor < 0;
    if (closed || left.count() <= 0) return false;
    if (poll(items, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) return false;
    for (int i = 0; i < 2; ++i) {
      if (streams_[i].descriptor < 0 || items[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t bytes = read(streams_[i].descriptor, buffer, sizeof(buffer));
      if (bytes > 0) streams_[i].text.append(buffer, static_cast<std::size_t>(bytes));
      if (bytes > 0 || (bytes < 0 && errno == EINTR)) continue;
      close(streams_[i].descriptor);
      streams_[i].descriptor = -1;
    }
  }
  return true;
}

Outcome run(const std::vector<std::string>& arguments,
            const std::map<std::string, std::string>& environment) {
  ChildProcess process(arguments, environment);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

}  // namespace captiond::test
