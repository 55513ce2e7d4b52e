// captionctl: what a captiond daemon publishes, on a terminal.

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <iostream>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vector>

#include "pipeline/event_view.h"
#include "pipeline/subscriber.h"

namespace {

constexpr int kStopped = 0, kFailed = 1, kCannotStart = 2;

constexpr std::chrono::seconds kSilence(5);

constexpr const char* kDescription =
    "captionctl shows what a captiond daemon publishes.\n\n"
    "'captionctl listen --help' tells how.";

constexpr const char* kListenSummary = "Show the events of a daemon as they arrive";

constexpr const char* kListenFooter =
    "DESCRIPTION\n"
    "  Captions that are still being spoken are rewritten in place on a terminal (the part that\n"
    "  may still change is dim) and written as lines that begin with '~' into a pipe or file; "
    "final\n"
    "  captions, translations, scenes, alerts, gaps and the states of streams are lines that "
    "stay.\n"
    "\n"
    "  Events are numbered without holes, so whatever was lost on the way is counted and said. "
    "The\n"
    "  daemon may start later or be restarted: the connection comes back by itself.\n"
    "\n"
    "EXIT CODES\n"
    "  0  stopped by SIGINT or SIGTERM\n"
    "  1  failed while running (standard output cannot be written)\n"
    "  2  could not start (command line, endpoint)\n\n"
    "EXAMPLES\n"
    "  captionctl listen\n"
    "      everything of the daemon on this machine\n"
    "  captionctl listen --connect tcp://captions.example:5580 --stream lobby --stream hall\n"
    "      two streams of another machine\n"
    "  captionctl listen --json | jq -r 'select(.transcript.final) | .transcript.text'\n"
    "      the text of final captions alone\n";

struct ListenOptions {
  std::string endpoint = "tcp://127.0.0.1:5580";
  std::vector<std::string> streams;
  bool json = false;
};

// The terminal's width; 0 if standard output is none.
std::size_t terminal_columns() {
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

// SIGINT and SIGTERM as something to poll. Made before any thread, which then inherits the mask.
class StopSignal {
 public:
  StopSignal() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    descriptor_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  int descriptor() const { return descriptor_; }  // readable once the signal has come
  bool asked() const {
    pollfd item = {descriptor_, POLLIN, 0};
    return poll(&item, 1, 0) == 1;
  }

 private:
  int descriptor_ = -1;
};

int listen(const ListenOptions& options) {
  using captiond::EventView;
  const StopSignal stop;
  captiond::Subscriber subscriber(options.endpoint, options.streams, stop.descriptor());
  const auto style = options.json ? EventView::Style::kJson : EventView::Style::kLines;
  EventView view(style, std::cout, std::cerr, terminal_columns());
  bool told_silence = false;
  while (!stop.asked()) {
    const auto event = subscriber.receive(kSilence);
    if (event) {
      view.set_columns(terminal_columns());
      view.show(*event);
      told_silence = false;
    } else if (!told_silence && !stop.asked()) {
      std::cerr << "nothing heard from " << options.endpoint << " for 5 s, still listening"
                << std::endl;
      told_silence = true;
    }
    if (!std::cout) return kFailed;
  }
  std::cerr << view.shown() << " events, " << view.missing() << " lost";
  if (subscriber.malformed() > 0) std::cerr << ", " << subscriber.malformed() << " unreadable";
  std::cerr << std::endl;
  return kStopped;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "captionctl");
  app.set_version_flag("--version", std::string("captionctl ") + CAPTIOND_VERSION);
  app.require_subcommand(1);
  ListenOptions options;
  CLI::App* command = app.add_subcommand("listen", kListenSummary);
  command->footer(kListenFooter);
  command->add_option("--connect", options.endpoint, "Where the daemon publishes")
      ->capture_default_str()
      ->type_name("ENDPOINT");
  command->add_option("--stream", options.streams, "Only this stream; may be given several times")
      ->type_name("ID");
  command->add_flag("--json", options.json, "One JSON object a line, heartbeats too");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kStopped : kCannotStart;
  }
  try {
    return listen(options);
  } catch (const captiond::SubscriberError& error) {
    std::cerr << "captionctl: " << error.what() << std::endl;
    return kCannotStart;
  } catch (const std::exception& error) {
    std::cerr << "captionctl: " << error.what() << std::endl;
    return kFailed;
  }
}
