// captiond: captions of live streams and files.

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>

#include <gst/gst.h>

#include "elements/registration.h"
#include "model/engine.h"
#include "pipeline/check_config.h"
#include "pipeline/command_line.h"
#include "pipeline/config_file.h"
#include "pipeline/daemon.h"
#include "pipeline/engine_setup.h"
#include "pipeline/exit_code.h"
#include "pipeline/log.h"
#include "pipeline/transcribe.h"

namespace captiond {
namespace {

int serve(const std::filesystem::path& file) {
  // Whoever reads the log may go; the daemon does not.
  std::signal(SIGPIPE, SIG_IGN);
  const v1::Config config = load_config(file);
  const auto log = make_log(config.log().level(), config.log().format());
  Daemon daemon(config, log);
  EngineOptions options = engine_options(config.engine());
  options.report = [log](const std::string& sentence) { log->info("{}", sentence); };
  const auto begin = std::chrono::steady_clock::now();
  std::shared_ptr<Engine> engine = Engine::open(options);
  check_abilities(config, engine->config());
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  log->info("model {} is ready after {:.1f} s", options.model.native(), taken.count());
  return daemon.run(std::move(engine), options);
}

int check(const std::filesystem::path& file) {
  std::cout << check_config(file) << std::endl;
  return kStoppedAsAsked;
}

void start_gstreamer() {
  gst_init(nullptr, nullptr);
  if (!gst::register_elements(nullptr)) {
    throw std::runtime_error("GStreamer refused captiond's elements");
  }
}

int run(int argc, char** argv) {
  Command command;
  const auto command_line = make_command_line(command);
  try {
    command_line->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command_line->exit(error) == 0 ? kStoppedAsAsked : kCouldNotStart;
  }
  try {
    start_gstreamer();
    switch (command.kind) {
      case Command::Kind::kServe:
        return serve(command.config);
      case Command::Kind::kTranscribe:
        return transcribe(command.transcribe, std::cout);
      case Command::Kind::kCheck:
        return check(command.config);
    }
    return kCouldNotStart;
  } catch (const std::exception& error) {
    // Whatever is thrown up to here ended the start: running streams report on their buses.
    std::cerr << "captiond: " << error.what() << std::endl;
    return kCouldNotStart;
  }
}

}  // namespace
}  // namespace captiond

int main(int argc, char** argv) { return captiond::run(argc, argv); }
